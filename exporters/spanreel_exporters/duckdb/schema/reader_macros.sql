-- Filters of the trace list; NULL switches one off. `found` is the temporary table of traces that hold the text.
CREATE OR REPLACE TEMP TABLE found (trace_id VARCHAR);
CREATE OR REPLACE MACRO matching(
  p_status, p_state, p_model, p_kind, p_name, p_session, p_user, p_service, p_since, p_until, p_errors
) AS TABLE
FROM trace_live AS t
WHERE (p_status IS NULL OR t.status = p_status)
  AND (p_state IS NULL OR t.state = p_state)
  AND (p_model IS NULL OR list_contains(t.models, p_model))
  AND (p_kind IS NULL OR list_contains(t.kinds, p_kind))
  AND (p_name IS NULL OR t.name = p_name)
  AND (p_session IS NULL OR t.session_id = p_session)
  AND (p_user IS NULL OR t.user_id = p_user)
  AND (p_service IS NULL OR t.service = p_service)
  AND (p_since IS NULL OR t.start_ns >= p_since)
  AND (p_until IS NULL OR t.start_ns < p_until)
  AND (p_errors IS NULL OR (t.error_count > 0) = p_errors);
