UPDATE bill SET model = coalesce(r.model, bill.model), cost = r.cost::DECIMAL(38, 12), cost_source = r.source
FROM repriced AS r WHERE r.seq = bill.seq
