SELECT min(seq), max(seq), count(*) FROM body_live
