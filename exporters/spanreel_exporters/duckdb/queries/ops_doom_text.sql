-- Every text column of every table that belongs to a trace; $value as typed, $json as it stands inside JSON text.
INSERT INTO memory.main.doomed
SELECT DISTINCT trace_id FROM (
  SELECT trace_id FROM store.span_row
  WHERE contains(concat_ws(chr(10), name, session_id, user_id, error_type, error_message, attributes, metadata,
                           array_to_string(tags, chr(10)), tool_name, prompt_name, prompt_version), $value)
     OR contains(concat_ws(chr(10), attributes, metadata), $json)
  UNION ALL
  SELECT s.trace_id FROM store.preview AS p JOIN store.span_row AS s ON s.seq = p.seq
  WHERE contains(concat_ws(chr(10), p.input_preview, p.output_preview), $value)
  UNION ALL
  SELECT s.trace_id FROM store.span_body AS b JOIN store.span_row AS s ON s.seq = b.seq
  WHERE contains(b.input, $value) OR contains(b.output, $value) OR contains(b.input, $json) OR contains(b.output, $json)
  UNION ALL
  SELECT s.trace_id FROM store.span_wire AS w JOIN store.span_row AS s ON s.seq = w.seq
  WHERE contains(w.request, $value) OR contains(w.response, $value) OR contains(w.meta, $value)
     OR contains(w.request, $json) OR contains(w.response, $json)
     OR (w.encoding = 'base64' AND (contains(hex(from_base64(w.request)), $hex) OR contains(hex(from_base64(w.response)), $hex)))
  UNION ALL
  SELECT trace_id FROM store.document
  WHERE contains(concat_ws(chr(10), id, content, metadata), $value) OR contains(metadata, $json)
  UNION ALL
  SELECT trace_id FROM store.score_row WHERE contains(concat_ws(chr(10), name, label, comment, author), $value)
  UNION ALL
  SELECT trace_id FROM store.flag_row WHERE contains(concat_ws(chr(10), text, reason), $value)
  UNION ALL
  SELECT trace_id FROM store.open_span WHERE contains(line, $value) OR contains(line, $json)
)
