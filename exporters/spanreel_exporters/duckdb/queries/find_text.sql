-- Traces whose line of the list holds a text, whatever its case, or whose id begins with it.
INSERT INTO temp.main.found
SELECT trace_id FROM trace_live AS t
WHERE starts_with(t.trace_id, lower($text)) OR contains(lower(concat_ws(
  chr(10), t.name, t.session_id, t.user_id, t.service, t.error_type,
  t.error_message, array_to_string(t.models, chr(10)), array_to_string(t.tags, chr(10)))), lower($text))
UNION
SELECT s.trace_id FROM preview_live AS p JOIN span_live AS s ON s.seq = p.seq
WHERE contains(lower(input_preview), lower($text)) OR contains(lower(output_preview), lower($text))
