-- The whole text first, once: input and output are cut out of it only where it holds the phrase.
SELECT seq, coalesce(contains(substring(text, 1, input_chars), $needle), false) AS in_input FROM text_live
WHERE seq BETWEEN $low AND $high AND contains(text, $needle) AND (
  contains(substring(text, 1, input_chars), $needle)
  OR contains(substring(text, coalesce(input_chars, 0) + 1, output_chars), $needle)
)
ORDER BY seq DESC LIMIT $limit
