CREATE OR REPLACE VIEW memory.main.span_now AS FROM memory.main.span_live;
