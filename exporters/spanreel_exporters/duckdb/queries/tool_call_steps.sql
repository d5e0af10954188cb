SELECT
  s.span_id, s.parent_id, s.kind, s.name, s.tool_name, s.start_ns, s.end_ns, s.duplicate_of,
  CASE WHEN s.kind = 'tool' THEN b.input END, b.output,
  CASE WHEN s.kind = 'tool' THEN s.attributes END
FROM (
  SELECT seq, span_id, parent_id, kind, name, tool_name, start_ns, end_ns, duplicate_of, attributes FROM span_live
  WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id = $trace_id
) AS s LEFT JOIN (FROM body_live WHERE seq BETWEEN $first_seq AND $last_seq) AS b ON b.seq = s.seq AND s.kind IN ('llm', 'tool')
