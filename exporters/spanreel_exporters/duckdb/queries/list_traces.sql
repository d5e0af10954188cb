SELECT t.*, coalesce(f.flag_count, 0) AS flag_count
FROM (
  FROM matching($text, $status, $state, $model, $kind, $name, $session, $user, $service, $since_ns, $until_ns, $errors)
  ORDER BY start_ns DESC, first_seq DESC LIMIT $limit OFFSET $offset
) AS t
LEFT JOIN (SELECT trace_id, count(*) AS flag_count FROM flag_live GROUP BY trace_id) AS f ON f.trace_id = t.trace_id
ORDER BY t.start_ns DESC, t.first_seq DESC
