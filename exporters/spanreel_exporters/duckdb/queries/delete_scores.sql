DELETE FROM store.score_row WHERE score_id IN (SELECT unnest($score_ids))
