SELECT input, output FROM body_live WHERE seq = $seq
