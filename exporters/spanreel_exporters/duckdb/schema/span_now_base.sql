CREATE OR REPLACE VIEW memory.main.span_now AS FROM store.span_row;
