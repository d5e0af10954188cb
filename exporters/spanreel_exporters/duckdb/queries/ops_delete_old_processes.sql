DELETE FROM store.process WHERE start_ns < $before_ns
  AND procid NOT IN (SELECT procid FROM store.span_row WHERE procid IS NOT NULL)
  AND procid NOT IN (SELECT procid FROM store.open_span)
