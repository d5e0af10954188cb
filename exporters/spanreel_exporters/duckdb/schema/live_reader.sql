-- What the public views read, through a reader without a tail: the attached file.
CREATE OR REPLACE VIEW span_live AS FROM store.span_row;
CREATE OR REPLACE VIEW body_live AS FROM store.span_body;
CREATE OR REPLACE VIEW wire_live AS FROM store.span_wire;
CREATE OR REPLACE VIEW document_live AS FROM store.document;
CREATE OR REPLACE VIEW trace_live AS FROM store.trace_row;
CREATE OR REPLACE VIEW score_live AS FROM store.score_row;
CREATE OR REPLACE VIEW flag_live AS FROM store.flag_row;
CREATE OR REPLACE VIEW loss_live AS FROM store.loss_row;
