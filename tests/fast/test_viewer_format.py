"""One value, one format: examples, laws, and agreement of format.py with format.js."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel_viewer import format as words

ASSETS = Path(words.__file__).with_name("assets")
NAMES = ("count", "duration", "cost", "percent", "size", "score")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"), (0, "0 ms"), (0.42, "420 µs"), (0.9996, "1.0 ms"), (3.24, "3.2 ms"), (9.96, "10 ms"), (547, "547 ms"),
        (999.6, "1.00 s"), (2220, "2.22 s"), (9996, "10.0 s"), (12_940, "12.9 s"), (59_960, "1m 00s"), (448_050, "7m 28s"),
        (3_599_600, "1h 00m"), (7_500_000, "2h 05m"), (273_600_000, "3d 4h"), (-5, "-5.0 ms"),
    ],
)  # fmt: skip
def test_durations(milliseconds: float | None, text: str) -> None:
    assert words.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "–"),
        (0, "$0"),
        (2e-7, "<$0.0001"),
        (0.0087, "$0.0087"),
        (0.39, "$0.39"),
        (12.345, "$12.35"),
        (1234, "$1,234"),
    ],
)
def test_costs(usd: float | None, text: str) -> None:
    assert words.cost(usd) == text


def test_counts_shares_sizes_and_scores() -> None:
    assert [words.count(n) for n in (None, 0, 999, 12_345, 999_999, 1_250_000, 12_340_000, 3.1e9)] == [
        "–",
        "0",
        "999",
        "12,345",
        "999,999",
        "1.25M",
        "12.3M",
        "3.10B",
    ]
    assert [words.percent(p) for p in (None, 0, 0.0001, 0.042, 0.78, 1)] == [
        "–",
        "0 %",
        "<0.1 %",
        "4.2 %",
        "78 %",
        "100 %",
    ]
    assert [words.size(n) for n in (0, 812, 1200, 34_000, 5_300_000, 2.5e9)] == [
        "0 B",
        "812 B",
        "1.2 kB",
        "34 kB",
        "5.3 MB",
        "2.5 GB",
    ]
    assert [words.score(x) for x in (0.8734, 12.5, -0.2, 3)] == ["0.873", "12.5", "-0.2", "3"]


@given(st.floats(min_value=0, max_value=1e12), st.floats(min_value=1.2, max_value=10))
def test_a_longer_time_never_reads_shorter(milliseconds: float, factor: float) -> None:
    assert _seconds(words.duration(milliseconds * factor)) >= _seconds(words.duration(milliseconds))


def _seconds(text: str) -> float:
    scale = {"µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400}
    if " " in text and text[-1] in "sµ" and text.rsplit(maxsplit=1)[-1] in scale:
        number, unit = text.split()
        return float(number) * scale[unit]
    return sum(float(part[:-1]) * scale[part[-1]] for part in text.split())


def _values() -> list[float]:
    rng = random.Random(7)
    ties = [n + 0.5 for n in range(20)] + [
        0.00005,
        0.09995,
        0.0995,
        0.9995,
        9.95,
        59_950,
        999.5,
        9_995,
        999_999.5,
        0.125,
        2.675,
        1e15,
        0,
    ]
    edges = [math.nextafter(value, toward) for value in ties for toward in (0, math.inf)]
    return ties + edges + [10 ** rng.uniform(-8, 13) for _ in range(4000)]


@pytest.mark.skipif(
    shutil.which("node") is None, reason="node is not installed: the JavaScript half is not compared"
)
def test_python_and_javascript_write_every_value_alike() -> None:
    values = _values()
    script = (
        f"import * as f from {json.dumps((ASSETS / 'format.js').as_uri())};"
        "const lines = await new Promise((done) => { let t = ''; process.stdin.on('data', (d) => (t += d)).on('end', () => done(JSON.parse(t))); });"
        f"const out = {{}}; for (const name of {json.dumps(NAMES)}) out[name] = lines.map((v) => f[name](v)); console.log(JSON.stringify(out));"
    )
    run = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    theirs = json.loads(run.stdout)
    for name in NAMES:
        # Shares are small numbers; beyond 2**53 the two languages print the same double with other digits.
        most = 1e6 if name == "percent" else math.inf
        different = [
            (value, mine, other)
            for value, other in zip(values, theirs[name], strict=True)
            if value <= most and (mine := getattr(words, name)(value)) != other
        ]
        assert not different, (name, different[:5])
