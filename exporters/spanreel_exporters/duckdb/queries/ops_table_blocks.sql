-- Distinct blocks that a table's columns lie in; several small columns may share one.
SELECT count(DISTINCT block) FROM (
  SELECT block_id AS block FROM pragma_storage_info($table) WHERE persistent
  UNION ALL SELECT unnest(additional_block_ids) FROM pragma_storage_info($table) WHERE persistent
)
