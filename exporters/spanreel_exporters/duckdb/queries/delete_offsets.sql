DELETE FROM store.segment_offset AS o
WHERE EXISTS (SELECT 1 FROM (SELECT unnest($procids) AS procid, unnest($segments) AS segment) AS k
              WHERE k.procid = o.procid AND k.segment = o.segment)
