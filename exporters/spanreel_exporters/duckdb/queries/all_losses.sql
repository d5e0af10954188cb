SELECT reason, pid, service, count, first_ns, last_ns FROM loss_live ORDER BY count DESC, reason
