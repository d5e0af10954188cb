"""What each kind of value becomes, and that no code of the program runs while it is captured."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
import io
import pathlib
import re
import socket
import threading
import types
import uuid
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs
import httpx
import numpy as np
import orjson
import pandas as pd
import pydantic
import pytest
from openai.types.chat import ChatCompletion

from spanreel.capture import Capturer, CutBytes, Limits
from spanreel.redaction import Redactor


class Captured:
    """A capturer with its losses."""

    def __init__(self, redact: object = None, **limits: Any) -> None:
        self.losses: list[str] = []
        redactor = Redactor.checked(redact)
        self.capturer = Capturer(redactor=redactor, losses=self.losses.append, limits=Limits(**limits))

    def __call__(self, value: object) -> Any:
        return orjson.loads(bytes(self.capturer.value(value)))


def captured(value: object) -> Any:
    capture = Captured()
    result = capture(value)
    assert capture.losses == []
    return result


class Colour(enum.Enum):
    RED = "red"
    ODD = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Data:
    name: str
    inner: object = None
    api_key: str = "hunter2"


@dataclasses.dataclass(slots=True, frozen=True)
class SlottedData:
    n: int


@attrs.define
class Attrs:
    n: int
    _hidden: str = "shown"


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    secret_value_of_all: pydantic.SecretStr = pydantic.SecretStr("hunter2")


class Root(pydantic.RootModel[list[int]]):
    pass


class Client:
    """Some object of a program."""

    def __init__(self) -> None:
        self.name = "c"
        self.api_key = "hunter2"
        self.other = Other()
        self._private = 1

    @property
    def boom(self) -> str:
        raise AssertionError

    def __repr__(self) -> str:
        raise AssertionError


class Other:
    def __init__(self) -> None:
        self.big = list(range(1000))


class MyStr(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


class MyDict(dict[str, int]):
    def items(self) -> Any:
        raise AssertionError

    def __iter__(self) -> Iterator[str]:
        raise AssertionError


class MyList(list[int]):
    def __iter__(self) -> Iterator[int]:
        raise AssertionError


def function() -> None:
    """Be captured."""


def generator() -> Iterator[int]:
    yield 1


HERE = __name__
WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

CASES: list[tuple[object, Any]] = [
    (None, None),
    (True, True),
    (float("nan"), "NaN"),
    ([1.5, float("inf"), -float("inf")], [1.5, "Infinity", "-Infinity"]),
    ([0.5] * 30 + [float("nan")], [0.5] * 30 + ["NaN"]),
    (-(2**63), -(2**63)),
    ("lone \ud800", "lone \\ud800"),
    ({"lone \ud800": 1}, {"lone \\ud800": 1}),
    ({3: "a", None: "b", True: "c", 2.5: "d", (1, 2): "e", b"k": "f"},
     {"3": "a", "null": "b", "true": "c", "2.5": "d", "[1,2]": "e", "k": "f"}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"b", "a"}), ["a", "b"]),
    (collections.deque([1, 2]), [1, 2]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    ({"a": 1}.keys(), ["a"]),
    (Point(1, 2), {"x": 1, "y": 2}),
    (MyStr("text"), "text"),
    (MyDict(a=1), {"a": 1}),
    (MyList([1, 2]), [1, 2]),
    (b"abc", {"__type__": "bytes", "length": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}),
    (bytearray(b"abc"), {"__type__": "bytearray", "length": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}),
    (Colour.RED, "red"),
    (Colour.ODD, "ODD"),
    (Level.HIGH, 3),
    (WHEN, "2026-01-02T03:04:05+00:00"),
    (WHEN.astimezone(zoneinfo.ZoneInfo("Europe/Paris")), "2026-01-02T04:04:05+01:00"),
    (WHEN.date(), "2026-01-02"),
    (WHEN.time(), "03:04:05"),
    (dt.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
    (decimal.Decimal("1.10"), "1.10"),
    (fractions.Fraction(1, 3), "1/3"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (pathlib.Path("/tmp/x"), "/tmp/x"),
    (pathlib.PureWindowsPath("c:/x"), "c:\\x"),
    (re.compile("a+"), "re.compile('a+')"),
    (range(10**9), "range(0, 1000000000)"),
    (1 + 2j, "(1+2j)"),
    (..., "Ellipsis"),
    (Data("n", inner=SlottedData(1)), {"name": "n", "inner": {"n": 1}, "api_key": "[REDACTED]"}),
    (Attrs(1), {"n": 1, "_hidden": "shown"}),
    (Root([1, 2]), [[1, 2]]),
    (Client(), {"__type__": f"{HERE}.Client", "name": "c", "api_key": "[REDACTED]", "other": f"<{HERE}.Other object>"}),
    (object(), "<object object>"),
    (threading.Lock(), "<_thread.lock object>"),
    (io, "<module io>"),
    (function, f"<function {HERE}.function>"),
    (len, "<function len>"),
    (Client, f"<class {HERE}.Client>"),
    (Client.boom, "<property object>"),
    (generator(), "<generator generator>"),
    (ValueError("bad", 3), "ValueError: bad, 3"),
    (httpx.HTTPError("gone"), "httpx.HTTPError: gone"),
    (functools.partial(print, 1), {"__type__": "functools.partial", "func": "<function print>", "args": [1], "keywords": {}}),
    (array.array("d", [0.5] * 100), {"__type__": "array.array", "typecode": "d", "length": 100, "head": [0.5] * 8}),
    (types.MappingProxyType({"a": 1}), "<mappingproxy object>"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_kinds(value: object, expected: Any) -> None:
    assert captured(value) == expected
    assert captured({"inside": [value]}) == {"inside": [expected]} or isinstance(value, Client)


def test_pydantic_secrets_stay_masked_and_extras_show() -> None:
    model = Model.model_validate({"name": "n", "more": [1]})
    assert captured(model) == {"name": "n", "secret_value_of_all": "[REDACTED]", "more": [1]}


def test_pydantic_code_does_not_run() -> None:
    class Hostile(pydantic.BaseModel):
        n: int = 1

        @pydantic.model_serializer
        def ser(self) -> dict[str, int]:
            raise AssertionError

        @pydantic.computed_field
        def computed(self) -> int:
            raise AssertionError

    assert captured(Hostile()) == {"n": 1}


def test_openai_response() -> None:
    body = {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    }  # fmt: skip
    found = captured(ChatCompletion.model_validate(body))
    assert found["choices"][0]["message"]["content"] == "hi"
    assert found["model"] == "m"


def test_httpx_response() -> None:
    found = captured(httpx.Response(200, text="hello"))
    assert found == {"__type__": "httpx.Response", "status_code": 200, "content": "hello"}


def test_coroutine_is_not_awaited() -> None:
    async def answer() -> int:
        return 42

    waiting = answer()
    assert "coroutine" in captured(waiting)
    assert asyncio.run(waiting) == 42


def test_generator_is_not_consumed() -> None:
    items = generator()
    captured([items])
    assert list(items) == [1]


def test_socket() -> None:
    with socket.socket() as opened:
        assert captured(opened) == "<socket.socket object>"


# -- arrays and tables ------------------------------------------------------------------------------


def test_numpy() -> None:
    array_ = np.arange(12, dtype="float32").reshape(3, 4)
    assert captured(array_) == {
        "__type__": "numpy.ndarray", "shape": [3, 4], "dtype": "float32", "head": list(range(12)),
    }  # fmt: skip
    assert captured(np.float32(0.5)) == 0.5
    assert captured(np.array(["a", None], dtype=object))["head"] == ["a", None]


def test_huge_numpy_is_not_touched() -> None:
    huge = np.broadcast_to(np.float64(1.0), (10**6, 10**6))  # 8 TB if anyone copied it
    assert captured(huge) == {
        "__type__": "numpy.ndarray",
        "shape": [10**6, 10**6],
        "dtype": "float64",
        "head": [1.0] * 8,
    }


def test_pandas() -> None:
    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "t": [pd.Timestamp("2026-01-02"), pd.NaT], 5: [0.5, float("nan")]}
    )
    found = captured(frame)
    assert found["shape"] == [2, 4]
    assert found["columns"] == ["a", "b", "t", "5"]
    assert found["head"][0] == {"a": 1, "b": "x", "t": "2026-01-02T00:00:00", "5": 0.5}
    assert found["head"][1]["t"] is None
    assert captured(pd.Series([1, 2]))["head"] == [1, 2]
    assert captured(pd.Index(["a"]))["shape"] == [1]
    assert captured(pd.NA) is None


def test_wide_table_shows_its_corner() -> None:
    found = captured(pd.DataFrame(np.zeros((1000, 1000))))
    assert found["shape"] == [1000, 1000]
    assert len(found["columns"]) == 20
    assert len(found["head"]) == 5


def test_a_namesake_of_a_library_class_is_not_trusted() -> None:
    fake = type("ndarray", (), {"__module__": "numpy", "shape": property(lambda self: 1 / 0)})
    assert captured(fake()) == "<numpy.ndarray object>"


# -- hostile objects --------------------------------------------------------------------------------


def boom(*_args: object, **_kwargs: object) -> Any:
    raise AssertionError("the program's code ran")


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise AssertionError

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise AssertionError

    def __hash__(cls) -> int:
        raise AssertionError

    def __eq__(cls, other: object) -> bool:
        raise AssertionError


class Hostile(metaclass=Meta):
    __slots__ = ("__dict__", "kept", "never_set")

    def __init__(self) -> None:
        object.__setattr__(self, "kept", 1)

    __class__ = property(boom)  # pyright: ignore[reportIncompatibleMethodOverride]
    __getattribute__ = __getattr__ = __setattr__ = boom
    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __format__ = boom
    __reduce__ = __reduce_ex__ = __dir__ = __getitem__ = __call__ = __int__ = __float__ = boom


class Proxy:
    """As werkzeug's LocalProxy: everything goes to an object that may not be there."""

    __dict__ = property(boom)  # pyright: ignore[reportAssignmentType]
    __getattr__ = boom
    __class__ = property(boom)  # pyright: ignore[reportIncompatibleMethodOverride]


class Lazy(Mapping[str, int]):
    __getitem__ = __iter__ = __len__ = boom


class OddError(Exception):
    __str__ = __repr__ = boom


def test_no_code_of_the_program_runs() -> None:
    assert captured({"a": Hostile()}) == {"a": {"__type__": f"{HERE}.Hostile", "kept": 1}}
    assert captured([Hostile()] * 30)[29] == {"__type__": f"{HERE}.Hostile", "kept": 1}
    assert captured([Proxy()]) == [f"<{HERE}.Proxy object>"]
    assert captured(Lazy()) == f"<{HERE}.Lazy object>"
    assert captured(OddError(Hostile)) == {
        "__type__": f"{HERE}.OddError",
        "args": [f"<class {HERE}.Hostile>"],
    }


def test_cycles() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    assert captured(loop) == [1, {"again": "[cycle]"}]
    data = Data("n")
    data.inner = data
    assert captured(data)["inner"] == "[cycle]"


def test_shared_values_are_no_cycle() -> None:
    shared = [1]
    assert captured([shared, shared, {1}]) == [[1], [1], [1]]


# -- limits -----------------------------------------------------------------------------------------


def test_long_text_keeps_head_tail_length_and_hash() -> None:
    capture = Captured(size=10_000)
    text = "start" + "x" * 100_000 + "end"
    data = capture.capturer.value(text)
    assert isinstance(data, CutBytes)
    shown = orjson.loads(bytes(data))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert shown.startswith("startx")
    assert shown.endswith("xend")
    assert digest in shown
    assert data.cut == {"reasons": ["size"], "length": 100_008, "sha256": digest}
    assert 9_000 < len(data) < 10_300 or len(data) > 7_000
    assert capture.losses == ["capture_truncated"]


def test_after_a_long_text_the_rest_is_still_seen() -> None:
    capture = Captured(size=100_000)
    found = capture([{"role": "user", "content": "x" * 500_000}, {"role": "user", "content": "the question"}])
    assert found[1]["content"] == "the question"
    assert len(found[0]["content"]) > 60_000


def test_the_cut_leaves_no_half_secret() -> None:
    secret = "sk-proj-" + "a1b2c3d4" * 6
    for before in (7_400, 7_480, 7_500, 7_520, 6_500, 6_560, 6_600):
        text = "x" * before + " " + secret + " " + "y" * 200_000 + " " + secret + " " + "z" * (before // 3)
        assert "c3d4a1b2" not in Captured(size=10_000)(text)


def test_items_nodes_and_depth() -> None:
    capture = Captured(items=10, nodes=100)
    found = capture({"list": list(range(1000)), "after": "seen"})
    assert found["list"] == [*range(10), "[... 990 more items]"]
    assert found["after"] == "seen"
    found = Captured(nodes=50)([[i, [i]] for i in range(1000)])
    assert len(found) < 50
    deep: Any = "bottom"
    for _ in range(50):
        deep = [deep]
    assert "nested too deeply" in str(Captured()(deep))


def test_time_budget() -> None:
    capture = Captured(seconds=0.0)
    found = capture([{i} for i in range(2000)])
    assert len(found) < 100
    assert "more items" in found[-1]
    assert capture.losses == ["capture_budget"]


def test_big_integers_keep_their_digits() -> None:
    assert Captured().capturer.value(10**40) == b"1" + b"0" * 40
    assert captured(10**2000) == "1" + "0" * 2000
    assert captured(-(10**20_000)) == "[integer of 66439 bits]"


def test_a_vector_stays_whole() -> None:
    vector = [i / 7 for i in range(3072)]
    assert captured({"vector": vector, "odd": {1}}) == {"vector": vector, "odd": [1]}


def test_redaction_on_both_ways() -> None:
    secret = "sk-proj-abcDEF0123456789abcDEF01"
    for odd in (1, {2}):
        value = {"odd": odd, "password": "hunter2", "h": [("X-Api-Key", "abc")], "t": f"a {secret}", secret: 1,
                 "args": '{"password": "hunter2"}', "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}  # fmt: skip
        text = str(captured(value))
        assert "hunter2" not in text
        assert "abc" not in text
    assert captured([(b"authorization", b"x"), ("cookie", "y")]) == [
        ["authorization", "[REDACTED]"],
        ["cookie", "[REDACTED]"],
    ]


def test_user_redaction_reaches_plain_values() -> None:
    capture = Captured(redact=lambda value, path: f"{path}={value}")
    assert capture({"a": ["x"]}) == {"a": ["a.0=x"]}


# -- arguments --------------------------------------------------------------------------------------


def test_arguments() -> None:
    capturer = Captured().capturer

    def arguments(
        *args: Any, names: tuple[str, ...] = ("a", "b"), ignore: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        return orjson.loads(bytes(capturer.arguments(names, args, kwargs, frozenset(ignore))))

    assert arguments(1, "x") == {"a": 1, "b": "x"}
    assert arguments(1, b=2, c={3}) == {"a": 1, "b": 2, "c": [3]}
    assert arguments(1, 2, 3, 4) == {"a": 1, "b": 2, "args": [3, 4]}
    assert arguments(1, 2, 3, args=9) == {"a": 1, "b": 2, "args": 9, "*args": [3]}
    assert arguments(object(), 2, ignore=("a", "absent")) == {"a": "[ignored]", "b": 2}
    assert arguments("secret thing", 2, names=("api_key", "b")) == {"api_key": "[REDACTED]", "b": 2}
    assert arguments() == {}


def test_keyboard_interrupt_passes_and_nothing_else() -> None:
    def interrupt(value: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Captured(redact=interrupt)(["x"])


def test_near_the_recursion_limit() -> None:
    results: list[bytes] = []

    def dive() -> None:
        try:
            dive()
        except RecursionError:
            if not results:
                results.append(Captured().capturer.value([{1}, Data("n")]))

    dive()
    assert len(results) <= 1
    for result in results:
        orjson.loads(bytes(result))


def test_strings_known_to_be_clean_are_told_by_identity_and_only_those() -> None:
    capturer = Capturer(redactor=Redactor(), losses=lambda _reason: None)
    clean = "a long clean text " * 20
    secret = "sk-proj-abcDEF0123456789abcDEF01"
    dirty = clean + secret
    for _ in range(3):
        assert capturer.value([clean, "x"]) == orjson.dumps([clean, "x"])
        assert secret.encode() not in capturer.value({"a": clean, "b": dirty})
        assert secret.encode() not in capturer.value({"a": clean, "b": secret})
    for number in range(2000):
        text = f"{number} {clean}"
        assert secret.encode() not in capturer.value([text, text + secret])
        assert capturer.value([text]) == orjson.dumps([text])
    assert len(capturer._clean) <= 513


def test_json_that_is_too_long_is_not_searched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def noted(_redactor: Redactor, text: str) -> bool:
        searched.append(len(text))
        return False

    monkeypatch.setattr(Redactor, "hides_inside", noted)
    capturer = Capturer(redactor=Redactor(), losses=lambda _reason: None, limit=10_000)
    text = '{"a": "' + "x" * 50_000_000 + '"}'
    assert len(capturer.value({"text": text})) < 12_000
    assert len(capturer.value([text])) < 12_000
    assert max(searched, default=0) < 100_000
