SELECT coalesce(sum(span_count), 0), count(*), coalesce(sum(llm_calls), 0), coalesce(sum(input_tokens), 0),
  coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0), coalesce(sum(unpriced_calls), 0),
  coalesce(sum(error_count), 0), min(start_ns), max(start_ns)
FROM trace_live
