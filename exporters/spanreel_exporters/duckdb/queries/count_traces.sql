SELECT count(*)
FROM matching($text, $status, $state, $model, $kind, $name, $session, $user, $service, $since_ns, $until_ns, $errors)
