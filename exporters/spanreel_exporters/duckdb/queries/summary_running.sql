SELECT count(*) FROM span_live WHERE state = 'running'
