SELECT reason, pid, service, count, first_ns, last_ns FROM store.loss_row
