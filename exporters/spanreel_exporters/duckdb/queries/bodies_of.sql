SELECT seq, input, output FROM body_live WHERE seq IN (SELECT unnest($seqs)) AND seq BETWEEN $low AND $high
