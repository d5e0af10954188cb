SELECT first_seq, last_seq FROM trace_live WHERE trace_id = $trace_id
