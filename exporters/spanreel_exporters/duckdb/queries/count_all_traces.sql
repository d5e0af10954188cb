SELECT count(*) FROM trace_live
