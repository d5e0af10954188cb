SELECT t.*, s.input_preview, s.output_preview,
  (SELECT count(*) FROM flag_live AS f WHERE f.trace_id = $trace_id) AS flag_count
FROM trace_live AS t
LEFT JOIN (FROM preview_live WHERE seq BETWEEN $first_seq AND $last_seq) AS s
  ON s.seq = t.root_seq
WHERE t.first_seq = $first_seq AND t.trace_id = $trace_id
