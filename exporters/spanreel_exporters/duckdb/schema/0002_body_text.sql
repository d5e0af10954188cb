-- Previews in a table of their own, of the spans that have one: a ZSTD column keeps 4 bytes for every NULL.
CREATE TABLE preview (
  seq BIGINT, input_preview VARCHAR USING COMPRESSION ZSTD, output_preview VARCHAR USING COMPRESSION ZSTD
);
INSERT INTO preview
SELECT seq, input_preview, output_preview FROM span_row
WHERE input_preview IS NOT NULL OR output_preview IS NOT NULL ORDER BY seq;
ALTER TABLE span_row DROP COLUMN input_preview;
ALTER TABLE span_row DROP COLUMN output_preview;
-- What other columns tell: lengths stand in body_text, the rate is made by `span_live`.
ALTER TABLE span_row DROP COLUMN input_bytes;
ALTER TABLE span_row DROP COLUMN output_bytes;
ALTER TABLE span_row DROP COLUMN output_tokens_per_s;

-- All text of a span in one value, since the compressor sees 2,048 values at a time: input, output, then its
-- documents; 6 % less than columns of their own, and documents, which outputs repeat, cost next to nothing.
CREATE TABLE body_text (
  seq BIGINT, input_chars INTEGER, output_chars INTEGER, text VARCHAR USING COMPRESSION ZSTD
);
CREATE TABLE document_row (
  seq BIGINT, rank INTEGER, id VARCHAR, score DOUBLE, at_char INTEGER, chars INTEGER, metadata VARCHAR
);

INSERT INTO body_text
SELECT
  coalesce(b.seq, d.seq), length(b.input)::INTEGER, length(b.output)::INTEGER,
  coalesce(b.input, '') || coalesce(b.output, '') || coalesce(d.texts, '')
FROM span_body AS b
FULL JOIN (SELECT seq, string_agg(content, '' ORDER BY rank) AS texts FROM document GROUP BY seq) AS d ON d.seq = b.seq
ORDER BY 1;
INSERT INTO document_row
SELECT
  d.seq, d.rank, d.id, d.score,
  (coalesce(t.input_chars, 0) + coalesce(t.output_chars, 0)
   + coalesce(sum(length(d.content)) OVER (PARTITION BY d.seq ORDER BY d.rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
  )::INTEGER,
  length(d.content)::INTEGER, d.metadata
FROM document AS d JOIN body_text AS t ON t.seq = d.seq
ORDER BY d.seq, d.rank;

DROP TABLE span_body;
DROP TABLE document;
CREATE VIEW span_body AS
SELECT
  seq, substring(text, 1, input_chars) AS input,
  substring(text, coalesce(input_chars, 0) + 1, output_chars) AS output
FROM body_text;
CREATE VIEW document AS
SELECT
  d.seq, s.trace_id, s.span_id, d.rank, d.id, d.score, substring(b.text, d.at_char + 1, d.chars) AS content, d.metadata
FROM document_row AS d JOIN span_row AS s ON s.seq = d.seq LEFT JOIN body_text AS b ON b.seq = d.seq;
