DELETE FROM store.loss_row
