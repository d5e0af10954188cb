-- Every text column of every table that belongs to a trace; $needles are the ways in which the text may be written there.
INSERT INTO memory.main.doomed
SELECT DISTINCT trace_id FROM (
  SELECT trace_id, concat_ws(chr(10), name, session_id, user_id, error_type, error_message, attributes, metadata,
                             array_to_string(tags, chr(10)), tool_name, prompt_name, prompt_version) AS cell
  FROM store.span_row
  UNION ALL
  SELECT s.trace_id, concat_ws(chr(10), p.input_preview, p.output_preview)
  FROM store.preview AS p JOIN store.span_row AS s ON s.seq = p.seq
  UNION ALL
  SELECT s.trace_id, unnest([b.input, b.output]) FROM store.span_body AS b JOIN store.span_row AS s ON s.seq = b.seq
  UNION ALL
  SELECT s.trace_id, unnest([w.request, w.response, w.meta]) FROM store.span_wire AS w JOIN store.span_row AS s ON s.seq = w.seq
  UNION ALL
  SELECT trace_id, concat_ws(chr(10), id, content, metadata) FROM store.document
  UNION ALL
  SELECT trace_id, concat_ws(chr(10), name, label, comment, author) FROM store.score_row
  UNION ALL
  SELECT trace_id, concat_ws(chr(10), text, reason) FROM store.flag_row
  UNION ALL
  SELECT trace_id, line FROM store.open_span
) WHERE len(list_filter($needles, lambda needle: contains(cell, needle))) > 0
UNION
SELECT s.trace_id FROM store.span_wire AS w JOIN store.span_row AS s ON s.seq = w.seq
WHERE w.encoding = 'base64' AND len(list_filter($hex, lambda needle:
  contains(hex(from_base64(w.request)), needle) OR contains(hex(from_base64(w.response)), needle))) > 0
