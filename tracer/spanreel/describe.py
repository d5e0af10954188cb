"""One table: class -> how to say a value of it by plainer ones. One level at a time, bounded, no user code.

Library classes are listed by name and looked up in what the program has loaded: spanreel imports none.
A new class is one line in `BUILTIN` or `NAMED` and, if no function here fits, one function.
"""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

from spanreel import anatomy

HEAD = 8
"""Numbers shown of an array."""
ROWS, COLUMNS = 5, 20
"""What is shown of a table."""
HASH_BYTES = 4 << 20
"""Up to so many bytes are hashed at each end of longer data; twice as many are hashed whole (4 ms)."""
TEXT_CHARS = 400
"""Of a text made by a standard class (an address, a pattern)."""
_PUBLIC = 32
_MOST_PLANS = 1024


class Items(NamedTuple):
    """The first values of a container, and how many it has."""

    values: list[Any]
    total: int


class Fields(NamedTuple):
    """The first named values of a record, and how many it has."""

    values: list[tuple[Any, Any]]
    total: int
    opaque: bool = False
    """An object of an unknown class: only its own simple values are of interest."""


Describer = Callable[[Any, int], Any]
"""(value, how many items at most) -> str, int, float, bool, None, Items or Fields."""

_plans: dict[int, tuple[weakref.ref[type], Describer]] = {}
"""Class, by its id (a metaclass may have a `__hash__` of its own) -> how to say its values; bounded."""


def describe(value: Any, items: int) -> Any:
    """A plainer value for one that is not of a plain type. May raise for odd library objects."""
    kind = type(value)
    plan = _plans.get(id(kind))
    if plan is None or plan[0]() is not kind:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[id(kind)] = (weakref.ref(kind), _describer(kind))
    return plan[1](value, items)


def _describer(kind: type) -> Describer:
    """Look a class up in the tables, its bases after it."""
    for base in anatomy.mro(kind):
        known = BUILTIN.get(id(base))
        if known is not None:
            return known
        name = anatomy.full_name(base)
        found = NAMED.get(name)
        if found is not None and anatomy.really(base, *name.rsplit(".", 1)):
            return found
    return _model if anatomy.is_model(kind) else _object


def _model(value: Any, items: int) -> Fields:
    return _record(anatomy.model_fields(value, items))


def _object(value: Any, _items: int) -> Any:
    fields = anatomy.public_fields(value, _PUBLIC)
    return _typed(value, fields)._replace(opaque=True) if fields else anatomy.label(value)


def digest(data: bytes | memoryview) -> dict[str, Any]:
    """`{length, sha256}` of bytes; of more than 8 MiB `sha256_ends`, over the first and last 4 MiB."""
    import hashlib  # OpenSSL takes some ms to load

    length = len(data)
    if length <= 2 * HASH_BYTES:
        return {"length": length, "sha256": hashlib.sha256(data).hexdigest()}
    ends = hashlib.sha256(data[:HASH_BYTES])
    ends.update(data[-HASH_BYTES:])
    return {"length": length, "sha256_ends": ends.hexdigest()}


def _record(fields: dict[Any, Any]) -> Fields:
    return Fields(list(fields.items()), len(fields))


def _typed(value: object, fields: dict[str, Any]) -> Fields:
    return _record({"__type__": anatomy.full_name(type(value)), **fields})


def _first(values: Iterable[Any], total: int, items: int) -> Items:
    return Items(list(islice(values, items)), total)


def _bytes(value: Any, _items: int) -> Fields:
    view = memoryview(value)
    if not view.c_contiguous:
        return _typed(value, {"length": view.nbytes})
    return _typed(value, digest(view.cast("B")))


def _tuple(value: Any, items: int) -> Any:
    total = tuple.__len__(value)
    for kind in anatomy.mro(type(value)):
        names = anatomy.namespace(kind).get("_fields")
        if type(names) is tuple and len(names) == total and all(type(name) is str for name in names):
            return Fields(list(islice(zip(names, tuple.__iter__(value), strict=True), items)), total)
    return _first(tuple.__iter__(value), total, items)


def _set(value: Any, items: int) -> Items:
    base = set if issubclass(type(value), set) else frozenset
    found = _first(base.__iter__(value), base.__len__(value), items)
    if all(type(item) is str for item in found.values):
        found.values.sort()  # the order of a set of texts changes with every run
    return found


def _mapping(value: Any, items: int) -> Fields:
    return Fields(list(islice(dict.items(value), items)), dict.__len__(value))


def _exception(value: Any, _items: int) -> Any:
    arguments = BaseException.__dict__["args"].__get__(value)
    name = anatomy.full_name(type(value))
    if not all(id(type(item)) in anatomy.SCALARS for item in arguments):
        return Fields([("__type__", name), ("args", arguments)], 2)
    text = ", ".join(str(item) for item in arguments)
    return f"{name}: {text}" if text else name


def _function(value: Any, _items: int) -> str:
    return f"<function {value.__module__}.{value.__qualname__}>"


def _method(value: Any, _items: int) -> str:
    function = value.__func__
    named = type(function) is types.FunctionType
    return f"<method {function.__module__}.{function.__qualname__}>" if named else anatomy.label(value)


def _builtin_function(value: Any, _items: int) -> str:
    return f"<function {value.__qualname__}>"


def _class(value: Any, _items: int) -> str:
    return f"<class {anatomy.full_name(value)}>"


def _module(value: Any, _items: int) -> str:
    return f"<module {anatomy.instance_dict(value).get('__name__')!s:.200}>"


def _running(value: Any, _items: int) -> str:
    return f"<{type(value).__name__} {value.__qualname__}>"


def _label(value: Any, _items: int) -> str:
    return anatomy.label(value)


def _repr(value: Any, _items: int) -> str:
    return repr(value)[:TEXT_CHARS]


# -- the standard library ---------------------------------------------------------------------------


def _enum(value: Any, _items: int) -> Any:
    stored = anatomy.instance_dict(value)
    found = stored.get("_value_")
    return found if found is not None and id(type(found)) in anatomy.SCALARS else stored.get("_name_")


def _datetime(value: Any, _items: int) -> str:
    from datetime import datetime

    zone = datetime.__dict__["tzinfo"].__get__(value)
    naive = datetime.combine(datetime.date(value), datetime.time(value))
    if zone is None:
        return naive.isoformat()
    if anatomy.module_of(type(zone)).partition(".")[0] in {
        "datetime",
        "zoneinfo",
        "pytz",
        "dateutil",
        "pandas",
    }:
        return naive.replace(tzinfo=zone, fold=datetime.__dict__["fold"].__get__(value)).isoformat()
    return f"{naive.isoformat()} {anatomy.label(zone)}"


def _date(value: Any, _items: int) -> str:
    from datetime import date

    return date.isoformat(value)


def _time(value: Any, _items: int) -> str:
    from datetime import time

    zone = time.__dict__["tzinfo"].__get__(value)
    return (
        time.isoformat(value) if zone is None else f"{time.strftime(value, '%H:%M:%S')} {anatomy.label(zone)}"
    )


def _duration(value: Any, _items: int) -> str:
    from datetime import timedelta

    return timedelta.__str__(value)


def _decimal(value: Any, _items: int) -> str:
    from decimal import Decimal

    return Decimal.__str__(value)


def _fraction(value: Any, _items: int) -> str:
    numbers = anatomy.slots(value)
    return f"{numbers['_numerator']}/{numbers['_denominator']}"


def _uuid(value: Any, _items: int) -> str:
    digits = f"{anatomy.slots(value)['int']:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _path(value: Any, _items: int) -> str:
    from pathlib import PurePath

    return PurePath.__str__(value)


def _deque(value: Any, items: int) -> Items:
    return _first(deque.__iter__(value), deque.__len__(value), items)


def _array(value: Any, _items: int) -> Fields:
    if anatomy.full_name(type(value)) != "array.array":
        return _record({"__type__": anatomy.full_name(type(value))})
    return _typed(value, {"typecode": value.typecode, "length": len(value), "head": value[:HEAD].tolist()})


def _partial(value: Any, _items: int) -> Fields:
    from functools import partial

    get = partial.__dict__
    return _typed(value, {name: get[name].__get__(value) for name in ("func", "args", "keywords")})


# -- libraries --------------------------------------------------------------------------------------


def _numpy_array(value: Any, _items: int) -> Fields:
    import sys

    numpy = sys.modules["numpy"]
    get = numpy.ndarray.__dict__
    size = get["size"].__get__(value)
    fields = {
        "shape": list(get["shape"].__get__(value)),
        "dtype": str(get["dtype"].__get__(value))[:TEXT_CHARS],
    }
    head = list(islice(iter(get["flat"].__get__(value)), HEAD if size > 2 * HEAD else size))
    return _typed(value, {**fields, "head": head})


def _numpy_number(value: Any, _items: int) -> Any:
    import sys

    plain = sys.modules["numpy"].generic.item(value)
    return anatomy.label(value) if type(plain).__module__ == "numpy" else plain


def _pandas_frame(value: Any, _items: int) -> Fields:
    if anatomy.module_of(type(value)).partition(".")[0] != "pandas":
        return _record({"__type__": anatomy.full_name(type(value))})
    part = value.iloc[:ROWS, :COLUMNS]
    columns = [(str(name) if type(name) is not str else name) for name in part.columns]
    rows = [dict(zip(columns, row, strict=True)) for row in part.itertuples(index=False, name=None)]
    return _typed(value, {"shape": list(value.shape), "columns": columns, "head": rows})


def _pandas_series(value: Any, _items: int) -> Fields:
    if anatomy.module_of(type(value)).partition(".")[0] != "pandas":
        return _record({"__type__": anatomy.full_name(type(value))})
    return _typed(
        value, {"shape": list(value.shape), "dtype": str(value.dtype), "head": value[:HEAD].tolist()}
    )


def _pandas_missing(_value: Any, _items: int) -> None:
    return None


def _torch_tensor(value: Any, _items: int) -> Fields:
    if anatomy.module_of(type(value)).partition(".")[0] != "torch":
        return _record({"__type__": anatomy.full_name(type(value))})
    fields = {"shape": list(value.shape), "dtype": str(value.dtype), "device": str(value.device)}
    if value.device.type == "cpu" and value.layout is type(value.layout) and value.numel():
        fields["head"] = _torch_head(value)
    return _typed(value, fields)


def _torch_head(value: Any) -> list[Any]:
    row = value.detach()
    while row.dim() > 1:
        row = row[0]
    return list(row[:HEAD].tolist()) if row.dim() else [row.item()]


def _polars_frame(value: Any, _items: int) -> Fields:
    fields = {"shape": list(value.shape), "columns": value.columns[:COLUMNS]}
    return _typed(value, {**fields, "head": value[:ROWS, :COLUMNS].to_dicts()})


def _polars_series(value: Any, _items: int) -> Fields:
    return _typed(
        value, {"shape": list(value.shape), "dtype": str(value.dtype), "head": value[:HEAD].to_list()}
    )


def _shaped(value: Any, _items: int) -> Fields:
    """An array on some device: reading a number of it could wait for the device."""
    return _typed(
        value, {"shape": [int(side) for side in value.shape], "dtype": str(value.dtype)[:TEXT_CHARS]}
    )


def _image(value: Any, _items: int) -> Fields:
    stored = anatomy.instance_dict(value)
    return _typed(value, {"size": stored.get("_size"), "mode": stored.get("_mode")})


def _response(value: Any, _items: int) -> Fields:
    stored = anatomy.instance_dict(value)
    body = stored.get("_content")
    shown = body.decode("utf-8", "replace") if type(body) is bytes and len(body) <= 1 << 20 else "[not read]"
    return _typed(value, {"status_code": stored.get("status_code"), "content": shown})


def _masked(_value: Any, _items: int) -> str:
    return "[REDACTED]"


def _root_model(value: Any, items: int) -> Any:
    stored = anatomy.instance_dict(value)
    return Items([stored["root"]], 1) if "root" in stored else anatomy.model_fields(value, items)


def _by_id(*rows: tuple[type, Describer]) -> dict[int, Describer]:
    return {id(kind): function for kind, function in rows}


BUILTIN: dict[int, Describer] = _by_id(
    (str, lambda value, _: str.__str__(value)),
    (int, lambda value, _: int.__int__(value)),
    (float, lambda value, _: float.__float__(value)),
    (complex, _repr),
    (bytes, _bytes),
    (bytearray, _bytes),
    (memoryview, _bytes),
    (dict, _mapping),
    (list, lambda value, items: _first(list.__iter__(value), list.__len__(value), items)),
    (tuple, _tuple),
    (set, _set),
    (frozenset, _set),
    (type({}.keys()), lambda value, items: _first(iter(value), len(value), items)),
    (type({}.values()), lambda value, items: _first(iter(value), len(value), items)),
    (type({}.items()), lambda value, items: _first(iter(value), len(value), items)),
    (deque, _deque),
    (range, _repr),
    (slice, _label),
    (type(Ellipsis), _repr),
    (type(NotImplemented), _repr),
    (type, _class),
    (types.ModuleType, _module),
    (types.FunctionType, _function),
    (types.MethodType, _method),
    (types.BuiltinFunctionType, _builtin_function),
    (types.CoroutineType, _running),
    (types.GeneratorType, _running),
    (types.AsyncGeneratorType, _running),
    (BaseException, _exception),
)
"""Keyed by the id of the class, since looking a class up may run its metaclass's `__hash__`."""

NAMED: dict[str, Describer] = {
    "enum.Enum": _enum,
    "datetime.datetime": _datetime,
    "datetime.date": _date,
    "datetime.time": _time,
    "datetime.timedelta": _duration,
    "datetime.timezone": _label,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "uuid.UUID": _uuid,
    "pathlib.PurePath": _path,
    "pathlib._local.PurePath": _path,
    "array.array": _array,
    "functools.partial": _partial,
    "re.Pattern": _repr,
    "zoneinfo.ZoneInfo": _label,
    "os._Environ": _label,
    "numpy.ndarray": _numpy_array,
    "numpy.generic": _numpy_number,
    "pandas.DataFrame": _pandas_frame,
    "pandas.core.frame.DataFrame": _pandas_frame,
    "pandas.Series": _pandas_series,
    "pandas.core.series.Series": _pandas_series,
    "pandas.Index": _pandas_series,
    "pandas.core.indexes.base.Index": _pandas_series,
    "pandas._libs.tslibs.nattype._NaT": _pandas_missing,
    "pandas._libs.missing.C_NAType": _pandas_missing,
    "torch.Tensor": _torch_tensor,
    "polars.dataframe.frame.DataFrame": _polars_frame,
    "polars.series.series.Series": _polars_series,
    "jax.Array": _shaped,
    "jaxlib._jax.ArrayImpl": _shaped,
    "tensorflow.python.framework.ops.EagerTensor": _shaped,
    "cupy.ndarray": _shaped,
    "PIL.Image.Image": _image,
    "httpx.Response": _response,
    "httpx2.Response": _response,
    "requests.models.Response": _response,
    "pydantic.types._SecretBase": _masked,
    "pydantic.root_model.RootModel": _root_model,
}
"""Keyed by `module.Class`; taken only if the loaded module has that very class."""
