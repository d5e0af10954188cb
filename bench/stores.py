"""What a statement that is no vector search pays for the hook in psycopg, inside a trace."""

from __future__ import annotations

import statistics
import sys
from time import perf_counter_ns

from bench import child
from bench.report import Measured, Plan

MUST, AIM = 2.0, 1.0
"""Microseconds."""
CALLS = 5_000
STATEMENTS = {
    "plain": "SELECT id, name FROM customers WHERE name = %s ORDER BY name LIMIT 20",
    "with <": "SELECT id FROM orders WHERE total < 100 AND state <> %s",
    "12 kB": "SELECT id FROM orders WHERE id IN (" + ", ".join(map(str, range(2_000))) + ") AND name = %s",
}


def main(store: str, rounds: str) -> None:
    """Time `Cursor.execute` over a body that does nothing, with and without the hook; answer us per kind."""
    import psycopg

    import spanreel
    from spanreel import instruments

    def execute(cursor: object, query: object, params: object = None) -> object:
        del query, params
        return cursor

    bare = execute
    psycopg.Cursor.execute = execute  # type: ignore[method-assign, assignment]
    spanreel.configure(store=store, keeper="off")
    cursor = object()
    with spanreel.span("root"):
        instruments.install(["psycopg"])
        hooked = psycopg.Cursor.execute
        found = {}
        for label, statement in STATEMENTS.items():
            differences = []
            for _ in range(int(rounds)):
                times = []
                for function in (bare, hooked):
                    began = perf_counter_ns()
                    for _ in range(CALLS):
                        function(cursor, statement, ("x",))  # type: ignore[call-overload]
                    times.append((perf_counter_ns() - began) / CALLS / 1e3)
                differences.append(times[1] - times[0])
            found[label] = statistics.median(differences)
    child.answer(found)


def statements(plan: Plan) -> Measured:
    """Statements without an operator of pgvector's, against a body that does nothing."""
    rounds = plan.pick(30, 5)
    with child.scratch(plan.scratch, "stores") as folder:
        found = child.run("stores", folder / "store", rounds)
    worst = max(found.values())
    text = ", ".join(f"{label} {value:.2f}" for label, value in found.items())
    return Measured(f"{text} us", worst <= MUST, f"{len(found)} x {rounds} x {CALLS} calls", worst <= AIM)


if __name__ == "__main__":
    main(*sys.argv[1:])
