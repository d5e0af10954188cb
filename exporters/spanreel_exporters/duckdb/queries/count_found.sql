SELECT count(*)
FROM matching($status, $state, $model, $kind, $name, $session, $user, $service, $since_ns, $until_ns, $errors)
WHERE trace_id IN (SELECT trace_id FROM temp.main.found)
