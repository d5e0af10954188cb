SELECT t.*, (SELECT count(*) FROM flag_live AS f WHERE f.trace_id = $trace_id) AS flag_count
FROM trace_live AS t WHERE t.first_seq = $first_seq AND t.trace_id = $trace_id
