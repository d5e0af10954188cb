DELETE FROM store.loss_row WHERE last_ns < $before_ns
