SELECT count(*), coalesce(sum(retry_wait_ms), 0) FROM bill WHERE retry_wait_ms IS NOT NULL
