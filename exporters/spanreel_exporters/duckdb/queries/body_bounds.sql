SELECT min(seq), max(seq), count(*) FROM text_live
