DELETE FROM tail_span;
DELETE FROM tail_body;
DELETE FROM tail_wire;
DELETE FROM tail_document;
DELETE FROM tail_trace;
DELETE FROM tail_score;
DELETE FROM tail_loss;
DELETE FROM tail_gone;
