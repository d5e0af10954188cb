-- What the public views read, in the file itself: the base tables.
CREATE OR REPLACE VIEW span_live AS FROM span_row;
CREATE OR REPLACE VIEW body_live AS FROM span_body;
CREATE OR REPLACE VIEW wire_live AS FROM span_wire;
CREATE OR REPLACE VIEW document_live AS FROM document;
CREATE OR REPLACE VIEW trace_live AS FROM trace_row;
CREATE OR REPLACE VIEW score_live AS FROM score_row;
CREATE OR REPLACE VIEW flag_live AS FROM flag_row;
CREATE OR REPLACE VIEW loss_live AS FROM loss_row;
