-- Where money and time went for nothing; a call stands under the first that holds for it.
WITH judged AS (
  SELECT *, CASE
    WHEN retried THEN 'retried'
    WHEN state = 'abandoned' THEN 'abandoned'
    WHEN state = 'interrupted' THEN 'interrupted'
    WHEN status = 'error' THEN 'failed'
  END AS reason
  FROM bill
)
SELECT reason, count(*), coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT, sum(cost),
  coalesce(sum((end_ns - start_ns) / 1e6), 0)
FROM judged WHERE reason IS NOT NULL GROUP BY reason ORDER BY sum(cost) DESC NULLS LAST, 2 DESC, 1
