-- A call that another instrumentation tells of, the root of a trace, at this time.
SELECT 1 FROM store.span_row
WHERE start_ns <= $high AND end_ns >= $low AND parent_id IS NULL AND kind IN ('llm', 'embedding', 'rerank')
  AND dialect <> 'spanreel'
LIMIT 1
