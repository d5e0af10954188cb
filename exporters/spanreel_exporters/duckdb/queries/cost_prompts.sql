-- The prompt and version that a call was made with: its own, or that of the nearest span above it that names one.
UPDATE bill SET prompt = u.prompt FROM (
  WITH RECURSIVE below AS (
    SELECT s.trace_id, s.span_id, s.prompt_name || coalesce(' ' || s.prompt_version, '') AS prompt, 0 AS depth
    FROM span_live AS s WHERE s.prompt_name IS NOT NULL AND s.trace_id IN (SELECT trace_id FROM bill)
    UNION
    SELECT s.trace_id, s.span_id, b.prompt, b.depth + 1
    FROM below AS b JOIN span_live AS s ON s.trace_id = b.trace_id AND s.parent_id = b.span_id
    WHERE s.prompt_name IS NULL AND b.depth < 1000
  )
  SELECT trace_id, span_id, any_value(prompt) AS prompt FROM below GROUP BY trace_id, span_id
) AS u
WHERE u.trace_id = bill.trace_id AND u.span_id = bill.span_id
