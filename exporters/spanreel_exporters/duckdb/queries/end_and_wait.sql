SELECT end_ns, retry_wait_ms FROM store.span_row
WHERE seq >= $from_seq AND trace_id = $trace AND span_id = $span
