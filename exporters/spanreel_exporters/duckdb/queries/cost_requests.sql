-- Requests as they were sent, for repeats and shared beginnings; by time.
SELECT b.seq, b.kind, b.provider, b.model, b.start_ns, b.end_ns, b.input_tokens, b.cache_read_tokens, b.cost,
  b.cost_source, b.service_tier, b.host, b.root,
  s.attributes, t.input
FROM bill AS b JOIN span_live AS s ON s.seq = b.seq JOIN body_live AS t ON t.seq = b.seq
WHERE b.kind IN ('llm', 'embedding') AND NOT b.retried AND b.status != 'error' AND t.input IS NOT NULL
ORDER BY b.start_ns, b.seq
