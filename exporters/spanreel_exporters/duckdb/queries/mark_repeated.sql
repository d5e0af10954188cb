-- An attempt that a later one has retried; both are in the trace, the call counts once.
UPDATE store.span_row SET duplicate_of = $by WHERE seq >= $from_seq AND trace_id = $trace AND span_id = $span;
