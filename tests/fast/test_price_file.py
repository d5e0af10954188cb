"""A user's prices.toml: what it says, where it is found, and how it errs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from journal_fixture import MS, T0, Writer, ids

from spanreel.analysis import pricing
from spanreel.analysis.price_file import parse
from spanreel.analysis.price_file_errors import PriceFileError
from spanreel.analysis.pricing import Prices, book, find, load, price
from spanreel.analysis.record import Canonical
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.reader import DuckReader

PATH = Path("/books/prices.toml")
MILLION = 1_000_000


@pytest.fixture(autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.delenv("SPANREEL_PRICES", raising=False)
    return folder


def prices(text: str) -> Prices:
    return Prices((parse(text, PATH),))


def cost(text: str, *, day: Any = "2026-11-20", **fields: Any) -> tuple[float | None, str | None]:
    at = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1e9)
    row = Canonical(**{"kind": "llm", "name": "x", "provider": "openai", "request_model": "house", **fields})
    return price(row, at_ns=at, prices=prices(text))


HOUSE = '[[price]]\nmodel = "house"\ninput = 2\noutput = 10\n'


def test_the_users_price_wins_over_the_book_and_says_so() -> None:
    text = 'name = "contract"\nupdated = 2026-11-01\n[[price]]\nprovider = "open.*"\nmodel = "gpt-4o(-2024.*)?"\ninput = 1\noutput = 2\n'
    found = cost(text, response_model="gpt-4o-2024-08-06", input_tokens=MILLION, output_tokens=MILLION)
    assert found == (3.0, "user:contract (2026-11-01)")
    other = cost(text, response_model="gpt-4o-mini", input_tokens=MILLION)
    assert other == (0.15, book())


def test_a_reported_cost_wins_over_the_user() -> None:
    assert cost(HOUSE, input_tokens=5, cost_usd=0.25, cost_source="reported") == (0.25, "reported")


def test_names_are_matched_whole_and_without_case() -> None:
    assert cost(HOUSE, request_model="HOUSE", input_tokens=MILLION)[0] == 2
    assert cost(HOUSE, request_model="house-2", input_tokens=MILLION) == (None, "unpriced")


def test_every_bucket_has_a_price_of_its_own_or_that_of_what_holds_it() -> None:
    text = (
        HOUSE
        + "cache_read = 0.2\ncache_write = 2.5\ncache_write_1h = 4\nreasoning = 12\naudio_input = 40\naudio_output = 80\n"
    )
    counts = {
        "input_tokens": 10 * MILLION, "output_tokens": 7 * MILLION, "cache_read_tokens": MILLION,
        "cache_write_tokens": 3 * MILLION, "cache_write_1h_tokens": MILLION, "audio_input_tokens": MILLION,
        "reasoning_tokens": MILLION, "audio_output_tokens": 2 * MILLION, "image_input_tokens": MILLION,
    }  # fmt: skip
    assert cost(text, **counts)[0] == 4 * 2 + 0.2 + 2 * 2.5 + 4 + 40 + 2 + 4 * 10 + 12 + 2 * 80
    plain = cost(
        HOUSE,
        input_tokens=MILLION,
        cache_read_tokens=MILLION,
        output_tokens=MILLION,
        reasoning_tokens=MILLION,
    )
    assert plain[0] == 12


def test_days_are_the_first_and_the_last_on_which_a_price_holds() -> None:
    text = (
        '[[price]]\nmodel = "house"\nfrom = 2026-01-01\nto = 2026-06-30\ninput = 1\n'
        '[[price]]\nmodel = "house"\nfrom = "2026-07-01"\ninput = 2\n'
    )
    days = {
        day: cost(text, day=day, input_tokens=MILLION)[0]
        for day in ("2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01")
    }
    assert days == {"2025-12-31": None, "2026-01-01": 1, "2026-06-30": 1, "2026-07-01": 2}


def test_the_length_of_the_context_chooses_the_rates() -> None:
    text = HOUSE + "above = [{ input_tokens = 200000, input = 4, output = 15 }]\n"
    assert cost(text, input_tokens=200_000, output_tokens=1_000)[0] == pytest.approx(0.41)
    assert cost(text, input_tokens=200_001, output_tokens=1_000)[0] == pytest.approx(0.815004)


def test_a_batch_costs_less_by_the_discount() -> None:
    text = HOUSE + "batch_discount = 0.4\n"
    assert cost(text, input_tokens=MILLION, service_tier="batch")[0] == pytest.approx(1.2)
    assert "batch x 0.6" in str(cost(text, input_tokens=MILLION, service_tier="batch")[1])
    assert cost(text, input_tokens=MILLION, service_tier="default")[0] == 2
    own = text + '[[price]]\nmodel = "fast-house"\ntier = "priority"\ninput = 9\n'
    assert cost(own, request_model="fast-house", input_tokens=MILLION, service_tier="Priority")[0] == 9
    assert cost(own, request_model="fast-house", input_tokens=MILLION)[0] is None


def test_another_currency_is_converted_at_the_rate_of_the_day() -> None:
    text = (
        "[usd]\nEUR = [{ from = 2026-01-01, rate = 1.08 }, { from = 2026-07-01, rate = 1.1 }]\n"
        + HOUSE
        + 'currency = "eur"\n'
    )
    assert cost(text, day="2026-03-01", input_tokens=MILLION)[0] == 2.16
    later = cost(text, day="2026-07-01", input_tokens=MILLION)
    assert later[0] == 2.2
    assert "EUR at 1.1" in str(later[1])
    assert cost(text, day="2025-12-31", input_tokens=MILLION) == (None, "unpriced")


def test_requests_searches_and_search_units_have_prices() -> None:
    text = HOUSE + "request = 0.005\nweb_search = 0.01\n" + '[[price]]\nmodel = "rank"\nsearch_unit = 0.002\n'
    assert cost(text, input_tokens=MILLION, web_searches=3)[0] == 2.035
    assert cost(text, kind="rerank", request_model="rank", search_units=5)[0] == 0.01
    assert cost(HOUSE, input_tokens=MILLION, web_searches=3) == (None, "unpriced")


def test_a_deployment_of_ones_own_may_be_free() -> None:
    free = '[[price]]\nprovider = "ollama|vllm"\nmodel = ".*"\nfree = true\n'
    assert cost(free, provider="ollama", request_model="llama3.2", input_tokens=900, output_tokens=5)[0] == 0
    assert cost("", provider="ollama", request_model="llama3.2", input_tokens=900) == (None, "unpriced")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOUSE + "inptu = 3\n", ["prices.toml:5", "inptu", "did you mean 'input'?"]),
        (HOUSE + "per_hour = 4\n", ["prices.toml:5", "per_hour", "not billed by time", "free = true"]),
        ("[[price]]\ninput = 2\n", ["prices.toml:1", "model", "regular expression"]),
        ('[[price]]\nmodel = "("\ninput = 2\n', ["prices.toml:2", "model", "no regular expression"]),
        ('[[price]]\nmodel = "a"\n', ["prices.toml:2", "at least one of input"]),
        (HOUSE + '[[price]]\nmodel = "b"\ninput = -1\n', ["prices.toml:7", "input (price 2)", "no price"]),
        (HOUSE + "cache_read = true\n", ["prices.toml:5", "no number"]),
        (HOUSE + 'from = "soon"\n', ["prices.toml:5", "no day", "2026-01-31"]),
        (HOUSE + "from = 2026-02-01\nto = 2026-01-01\n", ["prices.toml:6", "before `from`"]),
        (HOUSE + 'currency = "EUR"\n', ["prices.toml:5", "no rate for EUR"]),
        (HOUSE + "batch_discount = 50\n", ["prices.toml:5", "share from 0 to 1"]),
        (HOUSE + "above = [{ input = 3 }]\n", ["prices.toml:5", "input_tokens"]),
        (HOUSE + "free = true\n", ["prices.toml:5", "free = true, and yet"]),
        ("[usd]\nEUR = 1.1\n", ["prices.toml:2", "EUR"]),
        ("pirce = 1\n", ["prices.toml:1", "did you mean 'price'?"]),
        ("[[price]\n", ["prices.toml", "line 1"]),
    ],
)  # fmt: skip
def test_errors_lead_to_the_place(text: str, words: list[str]) -> None:
    with pytest.raises(PriceFileError) as error:
        prices(text)
    for word in words:
        assert word in str(error.value)


def test_files_are_found_from_the_nearest_to_the_farthest(
    tmp_path: Path, own_configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "project" / ".spanreel"
    store.mkdir(parents=True)
    (own_configuration / "spanreel").mkdir()
    places = [
        store / "prices.toml",
        store.parent / "prices.toml",
        own_configuration / "spanreel" / "prices.toml",
    ]
    for number, place in enumerate(places):
        place.write_text(HOUSE.replace("input = 2", f"input = {number}"))
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    monkeypatch.setenv("SPANREEL_PRICES", str(named))
    assert find(store, given) == [given, named, *places]
    named.write_text(HOUSE.replace("house", "other"))
    assert [file.source.partition(" ")[0] for file in load(find(store)).files][:2] == [
        "user:named.toml",
        "user:prices.toml",
    ]
    row = Canonical(kind="llm", name="x", request_model="house", input_tokens=MILLION)
    assert price(row, at_ns=T0, prices=load(find(store)))[0] == 0


def test_the_example_of_the_docs_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]
    assert len(parse(example, PATH).entries) == 3
    row = {"request_model": "gpt-4o", "input_tokens": MILLION // 10, "service_tier": "batch"}
    found = cost(example, **row)
    assert found == (0.12765, "user:contract 2026 (2026-11-01), EUR at 1.11, batch x 0.5")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match=r"nowhere\.toml cannot be read: No such file"):
        load([tmp_path / "nowhere.toml"])


def record(store: Path) -> None:
    store.mkdir(exist_ok=True)
    writer = Writer(store)
    trace, span = ids(1)
    writer.start(trace, span, kind="llm", name="chat house")
    usage = {
        "gen_ai.request.model": "house",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 10,
    }
    writer.end(trace, span, at=T0 + MS, attributes=usage)


def test_a_file_in_the_store_prices_what_is_taken_in(tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(store)
    (store / "prices.toml").write_text("updated = 2026-11-02\n" + HOUSE)
    with DuckReader(store, catch_up=False) as reader:
        assert reader.totals().cost_usd == 0.0021
    catch_up(store)
    with DuckReader(store, catch_up=False) as reader, reader.bill() as bill:
        assert [source.source for source in bill.sources()] == ["user:prices.toml (2026-11-02)"]


def test_a_file_that_cannot_be_used_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(store)
    (store / "prices.toml").write_text(HOUSE + "inptu = 1\n")
    report = catch_up(store)
    assert (report.spans, report.losses) == (1, {"price_file_unreadable": 1})
    assert "did you mean 'input'" in str(pricing.load_or_explain(store).trouble)
    (store / "prices.toml").write_text(HOUSE)
    assert pricing.load_or_explain(store).trouble is None
