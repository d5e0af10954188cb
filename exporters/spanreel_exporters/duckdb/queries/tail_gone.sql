INSERT INTO memory.main.tail_gone SELECT unnest($seqs)
