"""The `spanreel` program, run in this process and, where it matters, as one."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fixture import MS, T0, Writer, ids

from spanreel import cli, terminal
from spanreel.cli_programs import AUTOSTART, run_environment
from spanreel.command import Command
from spanreel_exporters.commands import quantities

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "spanreel.cli"]


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "my store"
    writer = Writer(path)
    for number in range(1, 4):
        trace, root = ids(number)
        at = T0 + number * 1000 * MS
        writer.start(
            trace, root, at=at, name="answer" if number != 2 else "ingest", given=f"question {number}"
        )
        _, inner = ids(number + 100)
        writer.start(trace, inner, root, at=at + MS, kind="tool", name="lookup \x1b[31mred\n")
        error = {"type": "KeyError", "message": "no \x07 such"} if number == 3 else None
        writer.end(trace, inner, at=at + 2 * MS, status="error" if error else "ok", error=error)
        writer.end(trace, root, at=at + 1500 * MS, output="fine", attributes={"session.id": "s1"})
    writer.die()
    return path


@pytest.fixture
def run(store: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main(["--store", str(store), *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_list_is_newest_first_and_cannot_steer_a_terminal(run: Run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == [ids(n)[0][:12] for n in (3, 2, 1)]
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "ok (1 err)" in lines[1]
    assert "question 3" in lines[1]


def test_list_filters_and_json(run: Run) -> None:
    assert [row["trace_id"] for row in json.loads(run("list", "--json", "--errors")[1])] == [ids(3)[0]]
    assert [row["name"] for row in json.loads(run("list", "--json", "--name", "ingest")[1])] == ["ingest"]
    assert len(json.loads(run("list", "--json", "-n", "2")[1])) == 2
    assert len(json.loads(run("list", "--json", "--session", "s1", "--kind", "tool")[1])) == 3
    assert run("list", "--since", "1d") == (0, "", "no traces match\n")
    assert "2 more" in run("list", "-n", "1")[1]
    assert [row["trace_id"] for row in json.loads(run("list", "question 2", "--json")[1])] == [ids(2)[0]]


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("last", 3),
        ("last~1", 2),
        ("last:ingest", 2),
        ("last:answer~1", 1),
        (ids(1)[0], 1),
        (ids(2)[0][:32], 2),
    ],
)
def test_traces_are_named_in_every_way(run: Run, word: str, number: int) -> None:
    code, out, _ = run("show", word, "--json")
    assert code == 0
    assert json.loads(out)["trace_id"] == ids(number)[0]


def test_an_interrupted_trace_took_at_least_what_was_seen(store: Path, run: Run) -> None:
    writer = Writer(store)
    trace, root = ids(9)
    writer.start(trace, root, at=T0 + 9000 * MS, name="cut short")
    writer.start(trace, ids(901)[1], root, at=T0 + 9250 * MS, kind="tool", name="lookup")
    writer.die()
    assert ">250 ms" in run("list")[1].splitlines()[1]
    assert run("show", "last")[1].splitlines()[1].startswith("interrupted  >250 ms  2 spans")


def test_show_tells_a_call_without_usage_from_one_without_a_price(store: Path, run: Run) -> None:
    writer = Writer(store)
    trace, root = ids(9)
    writer.start(trace, root, at=T0 + 9000 * MS, name="answer")
    tokens, units = {"gen_ai.usage.input_tokens": 7}, {"spanreel.usage.search_units": 1}
    for number, used in ((1, {}), (2, tokens), (3, units)):
        _, inner = ids(900 + number)
        model = {"gen_ai.request.model": "nobody-knows-it", **used}
        writer.start(trace, inner, root, at=T0 + (9000 + number) * MS, kind="llm", name=f"call {number}")
        writer.end(trace, inner, at=T0 + (9001 + number) * MS, attributes=model)
    writer.end(trace, root, at=T0 + 9005 * MS)
    writer.die()
    lines = run("show", "last")[1].splitlines()
    assert [line.rstrip()[-8:] for line in lines[3:]] == ["no usage", "no price", "no price"]


def test_show_is_a_tree(run: Run) -> None:
    code, out, _ = run("show", "last")
    assert code == 0
    lines = out.splitlines()
    assert ids(3)[0] in lines[0]
    assert lines[2].startswith("chain answer")
    assert "1.50 s" in lines[2]
    assert lines[3].startswith("└ tool lookup")
    assert "! KeyError" in lines[3]
    assert "\x1b" not in out
    full = run("show", "last", "--full")[1]
    assert "question 3" in full
    assert "fine" in full


@pytest.mark.parametrize(
    "words",
    [
        ("show", "ffffffff"),
        ("show", "last:nobody"),
        ("show", "last~99"),
        ("show", "xyz"),
        ("show", f"last~{10**30}"),
        ("forget", "abcdef99", "--dry-run"),
        ("forget", "f" * 32),
    ],
)
def test_an_unknown_trace_is_one_line_and_exit_1(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("spanreel: ")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("lst",), "did you mean list?"),
        (("shwo", "last"), "did you mean show?"),
        (("list", "--jsn"), "did you mean --json?"),
        (("list", "-n", "none"), "a number from 1"),
        (("list", "--kind", "tol"), "did you mean tool?"),
        (("list", "--kind", "foo"), "no kind 'foo' (kinds: llm,"),
        (("list", "--since", "yesterday"), "12h, 30d"),
        (("show",), "TRACE"),
        (("show", "a", "b"), "unexpected 'b'"),
        (("prune",), "--older-than"),
        (("prune", "--max-size", "big"), "2GB"),
        (("forget",), "--session"),
        (("forget", "last", "--user", "u"), "one of"),
        (("forget", "--user", " "), "empty"),
        (("sql", "select 1", "--format", "xml"), "table"),
        (("view", "--port", "99999"), "65535"),
        (("run",), "python app.py"),
        (("run", "--", "no-such-program"), "PATH"),
    ],
)
def test_a_command_line_that_cannot_be_used_is_one_line_and_exit_2(
    run: Run, words: tuple[str, ...], hint: str
) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert hint in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--stroe", "x", "list"], "did you mean --store?"),
        (["--store"], "needs the path"),
        (["-x"], "--help"),
    ],
)
def test_options_before_the_command(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert hint in capsys.readouterr().err


def test_no_command_prints_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    overview = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == overview
    assert cli.main(["help", "show"]) == 0
    assert "spanreel show" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("spanreel ")
    for name in (
        "demo",
        "view",
        "run",
        "list",
        "show",
        "sql",
        "doctor",
        "stores",
        "prune",
        "compact",
        "forget",
    ):
        assert f"\n  {name} " in overview


def test_store_may_stand_before_or_after_the_command(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([f"--store={store}", "list", "--json"]) == 0
    first = capsys.readouterr().out
    assert cli.main(["list", "--store", str(store), "--json"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("command", ["list", "sql", "show", "prune", "compact", "forget"])
def test_a_store_that_is_none_is_one_line_and_exit_1(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"sql": ["select 1"], "show": ["last"], "prune": ["--older-than", "1d"], "forget": ["last"]}.get(
        command, []
    )
    file = tmp_path / "file"
    file.write_text("x")
    for path, hint in ((tmp_path / "none", "spanreel demo"), (file, "is a file")):
        assert cli.main([command, *extra, "--store", str(path)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert hint in err


def test_sql_in_every_format(run: Run) -> None:
    query = "SELECT name, count(*) AS n, NULL AS nothing FROM traces GROUP BY name ORDER BY name"
    code, out, _ = run("sql", query)
    assert code == 0
    assert "NULL" in out
    assert "2 rows" in out
    assert json.loads(run("sql", query, "--format", "json")[1]) == json.loads(run("sql", query, "--json")[1])
    rows = list(csv.reader(io.StringIO(run("sql", query, "--format", "csv")[1])))
    assert rows == [["name", "n", "nothing"], ["answer", "2", ""], ["ingest", "1", ""]]


def test_numbers_that_json_has_no_word_for_become_null(run: Run) -> None:
    assert json.loads(run("sql", "SELECT 'nan'::DOUBLE AS a, [1.0, 'inf'::DOUBLE] AS b", "--json")[1]) == [
        {"a": None, "b": [1.0, None]}
    ]


def test_refused_sql_says_what_is_allowed(run: Run) -> None:
    code, out, err = run("sql", "DROP VIEW spans")
    assert (code, out) == (1, "")
    assert "DROP is refused" in err
    assert "SELECT" in err


def test_forget_prints_a_receipt_and_can_keep_it(run: Run, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    code, out, _ = run("forget", "last:ingest", "--receipt", str(receipt), "--json")
    assert code == 0
    assert json.loads(out) == json.loads(receipt.read_text())
    assert json.loads(out)["traces"] == [ids(2)[0]]
    assert len(json.loads(run("list", "--json")[1])) == 2
    assert "none match" in run("forget", "--user", "nobody")[1]


def test_forget_erases_nothing_when_the_receipt_cannot_be_kept(run: Run, tmp_path: Path) -> None:
    code, out, err = run("forget", "last", "--receipt", str(tmp_path / "none" / "receipt.json"))
    assert (code, out) == (1, "")
    assert "nothing was erased" in err
    assert err.count("\n") == 1
    assert len(json.loads(run("list", "--json")[1])) == 3


def test_an_error_that_quotes_what_was_recorded_does_not_steer_the_terminal(run: Run) -> None:
    code, _, err = run("sql", "SELECT name::INT FROM spans WHERE kind = 'tool'")
    assert code == 1
    assert "\x1b" not in err
    assert "\\x1b[31mred" in err


def test_csv_is_exact_for_programs_and_safe_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    query = ("sql", "SELECT DISTINCT name FROM spans WHERE kind = 'tool'", "--format", "csv")
    assert "lookup \x1b[31mred\n" in run(*query)[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b" not in run(*query)[1]


def test_a_deep_body_is_shown_as_text_in_json(run: Run, store: Path) -> None:
    writer = Writer(store, "200-0badb007-00000002")
    for number, depth in ((11, 5_000), (12, 900), (13, 150)):
        trace, span = ids(number)
        writer.start(trace, span, at=T0 + number * 10**12)
        body = b"[" * depth + b"]" * depth
        writer.raw(b"end\t1\t%s\t%s\t%d\tok\t\t%s\t\t\n" % (trace.encode(), span.encode(), T0, body))
        code, out, _ = run("show", trace, "--json")
        assert code == 0
        assert isinstance(json.loads(out)["spans"][0]["output"], str if depth > 200 else list)


@pytest.mark.parametrize("name", [b"back\\slash", b"no utf-8 \xff"])
def test_a_path_that_duckdb_cannot_open_is_one_line(
    tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / os.fsdecode(name)
    writer = Writer(path)
    trace, span = ids(1)
    writer.start(trace, span)
    writer.die()
    assert cli.main(["list", "--store", str(path)]) == 1
    err = capsys.readouterr().err
    assert "rename the directory" in err
    assert err.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_prune_compact_doctor_and_stores_answer_in_json(run: Run, store: Path) -> None:
    assert json.loads(run("prune", "--older-than", "1d", "--dry-run", "--json")[1])["traces"] == 3
    assert json.loads(run("compact", "--json")[1])["rows"] >= 0
    report = json.loads(run("doctor", "--json")[1])
    assert report["facts"]["summary"]["traces"] == 3
    assert str(store) in [entry["path"] for entry in json.loads(run("stores", "--json")[1])]
    assert "dropped 3 traces" in run("prune", "--older-than", "1d")[1]
    assert run("list")[2] == "no traces yet\n"


def test_doctor_says_1_when_something_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--store", str(tmp_path / "none")]) == 1
    assert "no recording at" in capsys.readouterr().out


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli.reference(), "run: make docs"


def test_the_program_as_a_process_and_a_reader_that_goes_away(store: Path) -> None:
    environ = {**os.environ, "SPANREEL_STORE": str(store)}
    pipe = subprocess.Popen(
        [*PROGRAM, "sql", "select i, repeat('x', 200) from range(50000) t(i)"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
    )  # fmt: skip
    assert pipe.stdout is not None
    assert pipe.stderr is not None
    pipe.stdout.readline()
    pipe.stdout.close()
    assert pipe.stderr.read() == b""
    pipe.stderr.close()
    assert pipe.wait() == 141


def test_an_unexpected_fault_is_one_line_unless_asked(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_arguments: object) -> int:
        raise RuntimeError("boom\nbang")

    monkeypatch.setattr(cli, "find", lambda _name: Command("x", lambda _parser: None, broken))
    assert cli.main(["list"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "boom bang" in err
    monkeypatch.setenv("SPANREEL_DEBUG", "1")
    with pytest.raises(RuntimeError):
        cli.main(["list"])


def test_the_command_line_starts_without_duckdb_and_streamlit() -> None:
    code = (
        "import sys; from spanreel import cli; cli.main(['--version']); cli.find('run'); cli.find('list')\n"
        "print([m for m in ('duckdb', 'streamlit', 'opentelemetry', 'spanreel_viewer', 'orjson') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "duckdb" not in out.splitlines()[-1]
    assert "streamlit" not in out.splitlines()[-1]
    assert "spanreel_viewer" not in out.splitlines()[-1]


def test_colours_only_where_they_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.Terminal(Screen()).paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert terminal.Terminal(io.StringIO()).paint("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.Terminal(Screen()).paint("x", "red") == "x"


@given(st.text())
def test_no_text_can_steer_a_terminal_or_break_a_line(text: str) -> None:
    shown = terminal.one_line(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    shown.encode("utf-8")
    assert terminal.display_width(terminal.one_line(text, 10)) <= 10
    assert json.loads(terminal.json_text(text)) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "-"),
        (0.0005, "0 us"),
        (0.5, "500 us"),
        (12.4, "12 ms"),
        (1500, "1.50 s"),
        (61_000, "1 min 01 s"),
        (3_720_000, "1 h 02 min"),
    ],
)
def test_durations_are_said_as_a_person_would(milliseconds: float | None, text: str) -> None:
    assert terminal.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (None, "-"),
        (0, "$0"),
        (0.0000123, "$0.000012"),
        (1.4e-07, "$0.00000014"),
        (0.01234, "$0.0123"),
        (12.3, "$12.30"),
    ],
)
def test_money_has_the_digits_that_matter(dollars: float | None, text: str) -> None:
    assert terminal.money(dollars) == text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_list_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    whole = run("list")[1].splitlines()
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("list")[1].splitlines()
    assert max(terminal.display_width(line) for line in lines) <= width
    assert len(lines) == len(whole)
    assert all(line.split("  ")[0] in before for line, before in zip(lines, whole, strict=True))


@pytest.mark.parametrize(("number", "text"), [(0, "0 calls"), (1, "1 call"), (1200, "1,200 calls")])
def test_a_number_of_things(number: int, text: str) -> None:
    assert terminal.plural(number, "call") == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30d", 30 * 86400), ("2W", 14 * 86400)]
)
def test_ages(text: str, seconds: float) -> None:
    assert quantities.age(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("500", 500), ("2GB", 2 * 10**9), ("1.5 MiB", 1572864), ("3kb", 3000)]
)
def test_sizes(text: str, count: int) -> None:
    assert quantities.size(text) == count


def test_run_puts_the_recorder_first_and_only_once(tmp_path: Path) -> None:
    once = run_environment({"PYTHONPATH": "/mine"}, tmp_path)
    assert once["PYTHONPATH"].split(os.pathsep) == [str(AUTOSTART), "/mine"]
    assert run_environment(dict(once), tmp_path)["PYTHONPATH"] == once["PYTHONPATH"]
    assert once["SPANREEL_INSTRUMENT"] == "all"


def test_run_records_a_program_that_does_not_know_of_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.mine = 'my own sitecustomize'\n")
    app = tmp_path / "app.py"
    app.write_text(
        "import sys, json\n"
        "import spanreel.recorder as r\n"
        "print(json.dumps([mine, sys.argv[1:], r.scope(), [p for p in sys.path if 'autostart' in p]]))\n"
        "sys.exit(7)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*PROGRAM, "run", "--store", str(tmp_path / "store"), "--", sys.executable, str(app), "--store", "x", "--"],
        capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 7
    assert json.loads(done.stdout) == ["my own sitecustomize", ["--store", "x", "--"], "all", []]


def test_run_leaves_an_interpreter_without_spanreel_alone(tmp_path: Path) -> None:
    """What `run` refuses up front must not break either when it happens further down the process tree."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(AUTOSTART)!r}); import sitecustomize; print('fine')"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("fine\n", "")
