SELECT trace_id, parent_id FROM store.span_row
WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id IN (SELECT unnest($trace_ids))
  AND (input_tokens IS NOT NULL OR cost_usd IS NOT NULL) AND parent_id IS NOT NULL
