from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fixture import Writer, ids
from recording import Recording

import spanreel
from spanreel.errors import QueryError, SpanreelError, StoreError
from spanreel_exporters.duckdb import user_sql
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.user_sql import Rows, distinct


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "the store"
    writer = Writer(path)
    for number in range(1, 4):
        trace, span = ids(number)
        writer.start(trace, span, name="answer", given={"q": f"<b>{number}</b>"})
        writer.end(trace, span, output="fine")
    catch_up(path)
    trace, span = ids(4)
    writer.start(trace, span, name="tail", given="not ingested yet")
    writer.end(trace, span)
    writer.die()
    return path


ATTACKS = {
    "COPY spans TO '{out}'": "COPY is refused",
    "COPY (SELECT 1) TO '/dev/stdout'": "COPY is refused",
    "COPY memory.main.tail_span FROM '/etc/passwd'": "COPY is refused",
    "SELECT * FROM read_text('/etc/passwd')": "files is refused",
    "SELECT * FROM read_blob('/etc/passwd')": "files is refused",
    "SELECT * FROM read_csv('/etc/passwd')": "files is refused",
    "SELECT * FROM read_json('/etc/passwd')": "files is refused",
    "SELECT * FROM read_parquet('/etc/passwd')": "files is refused",
    "SELECT * FROM glob('/etc/*')": "files is refused",
    "SELECT * FROM sniff_csv('/etc/passwd')": "files is refused",
    "SELECT * FROM '/etc/passwd'": "does not exist",
    "SELECT * FROM 'https://example.com/x.parquet'": "",
    "EXPORT DATABASE '{out}'": "EXPORT is refused",
    "IMPORT DATABASE '{out}'": "refused",
    "SET threads = 64": "SET is refused",
    "RESET memory_limit": "SET is refused",
    "SET enable_external_access = true": "SET is refused",
    "ATTACH '{out}' AS other": "ATTACH is refused",
    "ATTACH ':memory:' AS other": "ATTACH is refused",
    "DETACH store": "DETACH is refused",
    "USE store": "SET is refused",
    "INSTALL httpfs": "LOAD is refused",
    "LOAD '{out}'": "LOAD is refused",
    "PRAGMA enable_profiling": "refused",
    "PRAGMA profiling_output='{out}'": "refused",
    "PRAGMA threads=4": "refused",
    "CALL enable_logging(storage => 'file', storage_path => '{out}')": "CALL is refused",
    "CREATE TABLE x (a INT)": "CREATE is refused",
    "CREATE TEMP TABLE x AS SELECT 1": "CREATE is refused",
    "CREATE OR REPLACE VIEW spans AS SELECT 1": "CREATE is refused",
    "CREATE SECRET (TYPE http)": "CREATE is refused",
    "INSERT INTO store.span_row (seq) VALUES (1)": "INSERT is refused",
    "INSERT INTO memory.main.tail_span (seq) VALUES (1)": "INSERT is refused",
    "UPDATE store.span_row SET name = 'x'": "UPDATE is refused",
    "DELETE FROM store.span_row": "DELETE is refused",
    "MERGE INTO store.span_row USING spans ON false WHEN MATCHED THEN DELETE": "refused",
    "DROP VIEW spans": "DROP is refused",
    "ALTER TABLE store.span_row ADD COLUMN x INT": "ALTER is refused",
    "COMMENT ON TABLE store.span_row IS 'x'": "refused",
    "CHECKPOINT store": "refused",
    "VACUUM": "VACUUM is refused",
    "BEGIN": "TRANSACTION is refused",
    "PREPARE p AS DELETE FROM store.span_row": "PREPARE is refused",
    "SET VARIABLE x = 1": "SET is refused",
    "SELECT 1; DROP VIEW spans": "2 statements",
    "EXPLAIN ANALYZE COPY spans TO '{out}'": "refused",
    "EXPLAIN ANALYZE DELETE FROM store.span_row": "refused",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')": "files is refused",
    "": "empty",
    "-- nothing": "empty",
    "SELEC 1": "does not parse",
    "SELECT nope FROM spans": "nope",
}


@pytest.mark.parametrize("query", ATTACKS)
def test_sql_that_writes_or_touches_files_is_refused_in_clear_words(
    store: Path, tmp_path: Path, query: str
) -> None:
    out = tmp_path / "out"
    before = {path.name for path in store.rglob("*")}
    with pytest.raises(QueryError) as caught:
        user_sql.sql(query.format(out=out), store=store)
    assert ATTACKS[query] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert "root:" not in str(caught.value)
    new = {path.name for path in store.rglob("*")} - before
    assert new <= {"gate.lock", "traces.duckdb.wal"}  # what any reader may make
    assert len(user_sql.sql("FROM spans", store=store)) == 4


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) AS n FROM spans",
        "FROM traces",
        "WITH x AS (FROM spans) SELECT count(*) FROM x",
        "VALUES (1), (2)",
        "DESCRIBE spans",
        "SUMMARIZE SELECT name, duration_ms FROM spans",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM spans",
        "PIVOT (SELECT name, status FROM spans) ON status USING count(*)",
        "SELECT 1;",
        "SELECT attributes->>'x', metadata, tags FROM spans",
        "FROM documents UNION ALL FROM documents",
        "SELECT * FROM flags, scores, losses",
    ],
)
def test_sql_that_reads_passes(store: Path, query: str) -> None:
    user_sql.sql(query, store=store)


def test_public_name_answers_with_rows_that_include_the_tail(store: Path) -> None:
    rows = spanreel.sql("SELECT name, input FROM spans ORDER BY start_ns, name", store=store)
    assert isinstance(rows, Rows)
    assert rows.columns == ["name", "input"]
    assert [row["name"] for row in rows].count("tail") == 1
    assert len(rows) == 4


def test_parameters_are_bound_not_pasted(store: Path) -> None:
    assert user_sql.sql("SELECT ? AS x", ["'; DROP VIEW spans"], store=store)[0]["x"] == "'; DROP VIEW spans"
    assert user_sql.sql("SELECT $n AS x", {"n": 7}, store=store)[0]["x"] == 7
    with pytest.raises(QueryError):
        user_sql.sql("SELECT ? AS x", store=store)


def test_python_variables_are_out_of_reach(store: Path) -> None:
    secret = Rows(["a"], [[1]])
    assert secret
    with pytest.raises(QueryError, match="secret"):
        user_sql.sql("SELECT * FROM secret", store=store)


def test_a_query_that_takes_too_long_is_stopped(store: Path) -> None:
    from spanreel_exporters.duckdb.reader import DuckReader

    with DuckReader(store) as reader:
        user_sql.lock_down(reader.connection, timeout_ms=50)
        with pytest.raises(QueryError, match="too long"):
            user_sql.run(reader.connection, "SELECT count(*) FROM range(100000000000)")


def test_a_query_that_needs_too_much_memory_is_stopped(store: Path) -> None:
    from spanreel_exporters.duckdb.reader import DuckReader

    with DuckReader(store) as reader:
        user_sql.lock_down(reader.connection, timeout_ms=5000)
        with pytest.raises(QueryError, match="memory|too long"):
            user_sql.run(
                reader.connection, "SELECT list(i::VARCHAR || repeat('x', 1000)) FROM range(10000000) t(i)"
            )


def test_an_answer_that_does_not_fit_into_memory_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_sql, "RESULT_BYTES", 1 << 20)
    with pytest.raises(QueryError, match="larger than 1 MB"):
        user_sql.sql("SELECT repeat('x', 10000) FROM range(1000000)", store=store)
    assert len(user_sql.sql("SELECT repeat('x', 1000) FROM range(1000)", store=store)) == 1000


def test_fetching_a_long_answer_is_stopped_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_sql, "TIMEOUT_MS", 0)
    with pytest.raises(QueryError, match="too long"):
        user_sql.sql("FROM range(1000000)", store=store)


def test_more_rows_than_the_limit_are_marked(store: Path) -> None:
    from spanreel_exporters.duckdb.reader import DuckReader, locked_down

    with DuckReader(store) as reader:
        con = locked_down(reader)
        rows = user_sql.run(con, "FROM range(10)", limit=3)
        assert len(rows) == 3
        assert rows.truncated
        assert not user_sql.run(con, "FROM range(3)", limit=3).truncated


def test_a_missing_store_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        user_sql.sql("SELECT 1", store=tmp_path / "none")


def test_df_has_the_columns_and_says_what_is_missing(store: Path, without_pandas: None) -> None:
    rows = user_sql.sql("SELECT 1 AS a", store=store)
    with pytest.raises(SpanreelError, match="pip install pandas"):
        rows.df()


@pytest.fixture
def without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)


def test_df_is_a_frame_even_without_rows() -> None:
    pd = pytest.importorskip("pandas")
    frame = Rows(["a", "b"], []).df()
    assert list(frame.columns) == ["a", "b"]
    assert isinstance(Rows(["a"], [[1]]).df(), pd.DataFrame)


def test_html_is_escaped_and_bounded(store: Path) -> None:
    page = user_sql.sql("SELECT input, NULL AS n FROM spans ORDER BY start_ns", store=store)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "<i>NULL</i>" in page
    long = Rows(["<th>"], [["x" * 10_000]] * 1000)._repr_html_()
    assert "&lt;th&gt;" in long
    assert "900 more rows" in long
    assert len(long) < 60_000


@given(st.lists(st.sampled_from(["a", "a_2", "b", "count(*)"]), max_size=12))
def test_columns_are_made_distinct(columns: list[str]) -> None:
    made = distinct(columns)
    assert len(set(made)) == len(made) == len(columns)


def test_the_recorders_store_is_the_default(recording: Recording) -> None:
    with spanreel.span("here"):
        pass
    assert spanreel.sql("SELECT name FROM spans") == [{"name": "here"}]


def test_a_journal_too_long_for_one_look_is_taken_in_before_the_answer(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = DuckReader.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "tail_bytes", 1 << 16)
    write = spanreel.trace(name="w")(lambda text: len(text))
    for number in range(3000):
        write(f"{number} " * 40)
    rows = spanreel.sql("SELECT count(*) AS n FROM spans", store=recording.store)
    assert rows[0]["n"] == 3000
    assert rows.notices == []
