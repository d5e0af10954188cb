"""The table: every row, in the order of the promise."""

from __future__ import annotations

from bench import (
    burst,
    calls,
    durability,
    exit_delay,
    imports,
    ingest,
    integrations,
    off,
    queries,
    script_end,
    size,
    stores,
    streams,
    visibility,
    wire,
)  # fmt: skip
from bench.report import Row

ROWS = (
    Row("noop", "no-op call / baseline", "<= 0.60", "0.35", calls.noop),
    Row("payload", "8 messages of 1.5 kB in, 2 kB out / baseline", "<= 0.60", "0.40", calls.payload),
    Row("contended", "both beside one CPU-bound Python thread, mean and p99", "<= 0.60", "0.35", calls.contended),
    Row("lag", "asyncio loop lag, 200 concurrent traced streams, a neighbour writing at full disk speed", "p99.9 <= 10 ms", "", streams.lag),
    Row("off", "SPANREEL_DISABLED=1 or sampled out, over the bare call", "<= 1.5 us", "0.5", off.off),
    Row("statements", "a statement that is no vector search, through the hook in psycopg, over without", "<= 2 us", "1.0", stores.statements),
    Row("imports", "import spanreel / import opentelemetry.sdk.trace; import + one @trace", "<= 1.25; <= 1.6", "1.0", imports.imports),
    Row("durability", "spans ended before SIGKILL, SIGTERM, os._exit, exception, fork, prefork x 4, threads; 1 and 8 processes", "100 % readable, 0 double", "", durability.durability),
    Row("burst", "50,000 spans without a pause", "0 lost, RSS growth <= 20 MB", "", burst.burst),
    Row("openai", "one @trace over code whose openai client was made at import time", "1 chain + 1 llm span with tokens and cost", "", integrations.one_decorator),
    Row("fastapi", "FastAPI + an SDK provider and exporter of the user's, with and without spanreel", "pairs identical; one trace per request, 0 orphans", "", integrations.beside_otel),
    Row("unrelated", "HTTP calls that are none of ours, each hook, over the bare library", "<= 2 us", "", wire.unrelated),
    Row("stream", "httpx hook on a streamed chat of 200 chunks, loopback, over the bare client", "<= 5 % wall, no chunk delayed", "", wire.streamed),
    Row("visibility", "span end -> row in the reader, 4 processes x 100/s, also with 8 readers of 300 ms", "p99 <= 1 s; running within 1 s", "", visibility.visibility),
    Row("exit", "exit of the program, keeper or store unavailable", "delayed <= 50 ms", "", exit_delay.exit_delay),
    Row("script", "plain script ends -> its spans in traces.duckdb for a plain duckdb client", "<= 3 s", "", script_end.script_end),
    Row("ingest", "ingest incl. dialect and pricing, one core, 1 kB / 10 kB bodies", ">= 12,000 / 4,000 spans/s", "25,000 / 8,000", ingest.ingest),
    Row("size", "bytes per span, 1 kB bodies of natural text, without / with wire bytes", "<= 400 / 600", "", size.size),
    Row("lists", "newest 100 traces of 1,000,000 spans / one trace by id, through the reader, warm", "<= 60 / 30 ms", "", queries.lists),
    Row("phrase", "first 50 hits of a phrase in bodies, 100,000 spans of 10 kB", "<= 1 s", "", queries.phrase),
)  # fmt: skip
