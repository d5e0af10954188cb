-- Per connection. The temporary table `touched` names traces; `trace_summary(from_seq)` is their rows of trace_row, made from span_now.
CREATE OR REPLACE TEMP TABLE touched (trace_id VARCHAR);
CREATE OR REPLACE MACRO memory.main.trace_summary(from_seq) AS TABLE
WITH picked AS (
  SELECT
    *,
    -- a true root first, then a local root (its parent belongs to another tracer; or it is an attempt that was
    -- tried again), then an orphan; oldest wins (of one age, by id, so that the order of ingest does not show)
    (CASE WHEN parent_id IS NULL AND duplicate_of IS NULL THEN 0 WHEN parent_id IS NULL OR foreign_parent THEN 1 ELSE 2 END,
     start_ns, span_id) AS root_order,
    status = 'error' AND duplicate_of IS NULL AS failed
  FROM memory.main.span_now
  WHERE seq >= from_seq AND trace_id IN (SELECT trace_id FROM temp.main.touched)
),
folded AS (
  SELECT
    trace_id, min(seq) AS first_seq, max(seq) AS last_seq,
    arg_min(struct_pack(
      seq := seq, span_id := span_id, name := name, kind := kind, state := state, status := status,
      orphan := root_order[1] = 2, start_ns := start_ns, end_ns := end_ns, error_type := error_type,
      error_message := error_message,
      service := service, environment := environment, release := release
    ), root_order) AS root,
    min(start_ns) AS start_ns, max(greatest(start_ns, coalesce(end_ns, start_ns))) AS end_ns,
    count(*) AS span_count, count(*) FILTER (failed) AS error_count,
    bool_or(state = 'running') AS running,
    count(*) FILTER (kind = 'llm' AND duplicate_of IS NULL) AS llm_calls,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
    sum(cost_usd) AS cost_usd, count(*) FILTER (cost_source = 'unpriced') AS unpriced_calls,
    arg_min(session_id, root_order) FILTER (session_id IS NOT NULL) AS session_id,
    arg_min(user_id, root_order) FILTER (user_id IS NOT NULL) AS user_id,
    list(DISTINCT coalesce(response_model, request_model)) FILTER (coalesce(response_model, request_model) IS NOT NULL) AS models,
    list(DISTINCT kind) AS kinds, arg_min(tags, root_order) FILTER (tags IS NOT NULL) AS tags,
    arg_max(struct_pack(span_id := span_id, error_type := error_type, error_message := error_message), (start_ns, span_id))
      FILTER (failed) AS worst
  FROM picked GROUP BY trace_id
)
SELECT
  trace_id, first_seq, last_seq, root.seq AS root_seq, root.span_id AS root_span_id, root.name AS name, root.kind AS kind,
  CASE
    WHEN running THEN 'running'
    WHEN NOT root.orphan THEN root.state
    WHEN trace_id IN (SELECT trace_id FROM store.open_span WHERE procid <> 'waiting') THEN 'running'
    ELSE 'interrupted'
  END AS state,
  CASE WHEN NOT root.orphan THEN root.status WHEN error_count > 0 THEN 'error' ELSE 'unset' END AS status,
  start_ns, end_ns,
  -- from the first start on: the root of a call that was sent again is the attempt that was answered
  CASE WHEN NOT root.orphan AND root.end_ns IS NOT NULL THEN root.end_ns - start_ns ELSE end_ns - start_ns END AS duration_ns,
  span_count, error_count, llm_calls, input_tokens, output_tokens, cost_usd, unpriced_calls,
  session_id, user_id, root.service AS service, root.environment AS environment, root.release AS release,
  list_sort(models) AS models, list_sort(kinds) AS kinds, tags,
  worst.span_id AS error_span_id,
  CASE WHEN root.status = 'error' AND root.error_type IS NOT NULL THEN root.error_type ELSE worst.error_type END AS error_type,
  CASE WHEN root.status = 'error' AND root.error_message IS NOT NULL THEN root.error_message ELSE worst.error_message END AS error_message
FROM folded;
