-- The tool inside of which a call was made: the nearest span of kind tool above it, or itself.
UPDATE bill SET tool = u.tool FROM (
  WITH RECURSIVE below AS (
    SELECT s.trace_id, s.span_id, coalesce(s.tool_name, s.name) AS tool, 0 AS depth
    FROM span_live AS s WHERE s.kind = 'tool' AND s.trace_id IN (SELECT trace_id FROM bill)
    UNION
    SELECT s.trace_id, s.span_id, b.tool, b.depth + 1
    FROM below AS b JOIN span_live AS s ON s.trace_id = b.trace_id AND s.parent_id = b.span_id
    WHERE s.kind != 'tool' AND b.depth < 1000
  )
  SELECT trace_id, span_id, any_value(tool) AS tool FROM below GROUP BY trace_id, span_id
) AS u
WHERE u.trace_id = bill.trace_id AND u.span_id = bill.span_id
