-- Figures over every trace that passes the filters, not over a page of them.
SELECT count(*), count(*) FILTER (error_count > 0), count(*) FILTER (status = 'error'), count(*) FILTER (state = 'running'),
  coalesce(sum(llm_calls), 0)::BIGINT, coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT,
  sum(cost_usd), coalesce(sum(unpriced_calls), 0)::BIGINT,
  quantile_disc(duration_ns, [0.5, 0.95, 0.99]) FILTER (state != 'running'),
  max(duration_ns) FILTER (state != 'running'), count(*) FILTER (state != 'running')
FROM matching($status, $state, $model, $kind, $name, $session, $user, $service, $since_ns, $until_ns, $errors)
