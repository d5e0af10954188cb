"""Looking into objects without running their code: stored fields, names, classes. Nothing is imported.

`obj.x`, `repr(obj)`, `isinstance(obj, ABC)` and even `obj.__dict__` may run the program's code (properties,
lazy proxies, metaclasses). What is here reads through the descriptors of `type` and of the slots themselves.
"""

from __future__ import annotations

import sys
from itertools import islice, repeat
from operator import is_
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

NAME_CHARS = 200

NUMBERS = frozenset(map(id, (int, bool, type(None))))
FINITE = frozenset(map(id, (int, bool, float)))
SCALARS = frozenset(map(id, (str, int, float, bool, type(None))))
PLAIN = SCALARS | frozenset(map(id, (bytes, list, tuple, set, frozenset)))
"""Types by their ids: to look a class up in a set of classes may run its metaclass's `__hash__`."""

mro = type.__dict__["__mro__"].__get__
namespace = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_MARKS = (
    "__dataclass_fields__",
    "__attrs_attrs__",
    "__pydantic_fields__",
    "__pydantic_core_schema__",
    "__struct_fields__",
)


def all_numbers(values: list[Any] | tuple[Any, ...]) -> bool:
    """Tell whether a list that is not empty holds finite numbers only, or integers, booleans and None."""
    if type(values[0]) is not float or not all(map(is_, map(type, values), repeat(float))):
        kinds = set(map(id, map(type, values)))
        if id(float) not in kinds:
            return kinds <= NUMBERS
        if not kinds <= FINITE:
            return False
    total = sum(values)
    return bool(total - total == 0.0)


def module_of(kind: type) -> str:
    """The name of the module a class says it is from, or ""."""
    module = _module(kind)
    return module if type(module) is str else ""


def full_name(kind: type) -> str:
    """`module.Class`, or `Class` for builtins."""
    module = module_of(kind)
    name = str(_qualname(kind))
    return (name if module in {"builtins", ""} else f"{module}.{name}")[:NAME_CHARS]


def label(value: object) -> str:
    """`<module.Class object>`: what stands for a value that is not looked into."""
    return f"<{full_name(type(value))} object>"


def really(kind: type, module: str, name: str) -> bool:
    """Whether the loaded module has this very class under this name, so that it is no namesake."""
    loaded = sys.modules.get(module)
    return (
        isinstance(loaded, ModuleType) and ModuleType.__getattribute__(loaded, "__dict__").get(name) is kind
    )


def instance_dict(value: object) -> dict[str, Any]:
    """The instance's own dictionary (not a copy), or {} where a class hides it behind its own code."""
    for kind in mro(type(value)):
        found = namespace(kind).get("__dict__")
        if found is not None:
            if type(found) is GetSetDescriptorType or type(found) is MemberDescriptorType:
                stored = found.__get__(value)
                return stored if isinstance(stored, dict) else {}
            return {}
    return {}


def slots(value: object) -> dict[str, Any]:
    """What the `__slots__` of a value's classes hold."""
    found: dict[str, Any] = {}
    for kind in mro(type(value)):
        own = namespace(kind)
        declared = own.get("__slots__", ())
        for name in (
            (declared,) if type(declared) is str else declared if type(declared) is tuple else list(own)
        ):
            if type(name) is not str:
                continue
            member = own.get(name)
            if member is None and name.startswith("__"):  # a private name is mangled
                member = own.get(f"_{str(_qualname(kind)).rpartition('.')[2].lstrip('_')}{name}")
            if type(member) is MemberDescriptorType and name not in found:
                try:
                    found[name] = member.__get__(value)
                except AttributeError:  # declared, never set
                    continue
    return found


def stored_fields(value: object, limit: int) -> dict[str, Any]:
    """Up to `limit` fields a value has stored, slots first."""
    fields = slots(value)
    fields.update(islice(dict.items(instance_dict(value)), limit))
    return dict(islice(fields.items(), limit))


def is_model(kind: type) -> bool:
    """Whether a class declares its fields: dataclass, attrs, pydantic, msgspec."""
    return any(mark in namespace(base) for base in mro(kind) for mark in _MARKS)


def model_fields(value: object, limit: int) -> dict[str, Any]:
    """The stored fields of such a value; of a dataclass only those that it declares."""
    fields = stored_fields(value, limit)
    extra = fields.pop("__pydantic_extra__", None)
    if "__pydantic_fields_set__" in fields:
        fields = {name: item for name, item in fields.items() if not name.startswith("__pydantic_")}
    if type(extra) is dict:
        fields.update(islice(extra.items(), limit))
    return fields


def public_fields(value: object, limit: int) -> dict[str, Any]:
    """The stored fields whose names do not begin with an underscore."""
    fields = stored_fields(value, 8 * limit)
    return dict(
        islice(((k, v) for k, v in fields.items() if type(k) is str and not k.startswith("_")), limit)
    )
