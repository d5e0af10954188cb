SELECT seq, contains(input, $needle) AS in_input FROM body_live
WHERE seq BETWEEN $low AND $high AND (contains(input, $needle) OR contains(output, $needle))
ORDER BY seq DESC LIMIT $limit
