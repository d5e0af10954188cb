-- The tail of the journal that is not in the file yet, shaped like the base tables; lives in the reader's memory.
CREATE OR REPLACE TABLE tail_span AS FROM store.span_row LIMIT 0;
CREATE OR REPLACE TABLE tail_preview AS FROM store.preview LIMIT 0;
CREATE OR REPLACE TABLE tail_body AS FROM store.span_body LIMIT 0;
CREATE OR REPLACE TABLE tail_wire AS FROM store.span_wire LIMIT 0;
CREATE OR REPLACE TABLE tail_document AS FROM store.document LIMIT 0;
CREATE OR REPLACE TABLE tail_trace AS FROM store.trace_row LIMIT 0;
CREATE OR REPLACE TABLE tail_score AS FROM store.score_row LIMIT 0;
CREATE OR REPLACE TABLE tail_loss AS FROM store.loss_row LIMIT 0;
CREATE OR REPLACE TABLE tail_gone (seq BIGINT);
