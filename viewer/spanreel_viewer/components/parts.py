"""Mounting the browser parts: each is one ES module with a `mount(context)` that returns its clean-up.

Streamlit is the shell (session, pages, navigation, native widgets and charts of other pages). What is under the
reader's fingers asks our own routes, because a rerun of the script costs 200 to 400 ms and a fetch 4.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from streamlit.components.v2 import component

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

# Several lines on purpose: Streamlit takes a one-line string for the path of a file.
_LOADER = """
export default async function (context) {{
  const module = await import(location.origin + "/assets/{module}");
  return module.mount(context);
}}
"""


def _register(name: str, module: str) -> ComponentRenderer:
    return component(
        f"spanreel_{name}", html="<div></div>", js=_LOADER.format(module=module), isolate_styles=False
    )


@cache
def _definitions() -> dict[str, ComponentRenderer]:
    return {
        "bar": _register("bar", "bar.js"),
        "traces": _register("traces", "list/main.js"),
        "trace": _register("trace", "trace/main.js"),
    }


def _mount(name: str, data: dict[str, Any]) -> None:
    _definitions()[name](key=f"spanreel-{name}", data=data)


def bar(*, pages: list[dict[str, str]], store: str, store_path: str) -> None:
    """Mount the bar: `pages` are `{"label", "path"}` in order."""
    _mount("bar", {"pages": pages, "store": store, "store_path": store_path})


def traces() -> None:
    """Mount the list of traces."""
    _mount("traces", {})


def trace() -> None:
    """Mount the page of one trace; which one stands in the address."""
    _mount("trace", {})
