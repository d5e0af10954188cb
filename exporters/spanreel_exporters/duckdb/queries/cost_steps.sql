-- The step of a program that made a call: the span above it, the call's own name where there is none.
UPDATE bill SET step = coalesce(
  (SELECT any_value(s.name) FROM span_live AS s WHERE s.trace_id = bill.trace_id AND s.span_id = bill.parent_id), bill.name
)
