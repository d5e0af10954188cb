-- Rows of each row group of the bodies, and how many characters a body has on average.
SELECT max(count) AS rows_in_it, (SELECT coalesce(avg(coalesce(input_chars, 0) + coalesce(output_chars, 0)), 0) FROM store.body_text)
FROM pragma_storage_info('store.body_text')
WHERE column_name = 'seq' AND segment_type <> 'VALIDITY'
GROUP BY row_group_id
