-- As list_traces, for traces that hold a text (named in the temporary table `found`).
WITH page AS MATERIALIZED (
  SELECT first_seq, root_seq
  FROM matching($status, $state, $model, $kind, $name, $session, $user, $service, $since_ns, $until_ns, $errors)
  WHERE trace_id IN (SELECT trace_id FROM temp.main.found)
  ORDER BY start_ns DESC, first_seq DESC LIMIT $limit OFFSET $offset
)
SELECT t.*, s.input_preview, s.output_preview,
  (SELECT count(*) FROM flag_live AS f WHERE f.trace_id = t.trace_id) AS flag_count
FROM trace_live AS t
LEFT JOIN (
  SELECT seq, input_preview, output_preview FROM preview_live
  WHERE seq IN (SELECT root_seq FROM page) AND seq >= (SELECT min(root_seq) FROM page)
) AS s ON s.seq = t.root_seq
WHERE t.first_seq IN (SELECT first_seq FROM page) AND t.first_seq >= (SELECT min(first_seq) FROM page)
ORDER BY t.start_ns DESC, t.first_seq DESC
