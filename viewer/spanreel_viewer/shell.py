"""The page that carries the application: Streamlit's own index.html, dressed before it is sent.

Three things cannot be had from inside a running script: a start without a flash of white and a wrong
title, the base address (otherwise a page below `/` asks twice in vain and the console shows it), and the
data being on its way while the front end still starts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_IMPORT: Final = re.compile(r'\bfrom\s+"(\.{1,2}/[^"]+)"')
_HEX_ID: Final = re.compile(r"[0-9a-f]{1,32}\Z")
PAGES: Final = ("/", "/trace")
_MODULES: Final = {"/": ("list/main.js", "bar.js"), "/trace": ("trace/main.js", "bar.js")}
STYLES: Final = ("theme.css", "base.css", "list.css", "trace.css", "detail.css")


def _static() -> Path:
    import streamlit

    return Path(streamlit.__file__).parent / "static"


@cache
def _index() -> str:
    """Streamlit's page without its title, icon, outside pointers and the font that we do not use."""
    html = (_static() / "index.html").read_text(encoding="utf-8")
    html = re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)
    html = re.sub(r"<noscript>.*?</noscript>", _NOSCRIPT, html, flags=re.DOTALL)
    html = re.sub(r'<link rel="service-desc"[^>]*>', "", html)
    html = re.sub(r'<link[^>]*rel="preload"[^>]*as="font"[^>]*>', "", html)
    html = re.sub(
        r'<link rel="shortcut icon"[^>]*>',
        '<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">',
        html,
    )
    return html.replace("<title>Streamlit</title>", "<title>spanreel</title>")


_NOSCRIPT: Final = (
    "<noscript>The viewer needs JavaScript. `spanreel show last` prints a trace in the terminal.</noscript>"
)


def inline_script_hashes() -> list[str]:
    """The `sha256-...` of every inline script of the page, for the Content-Security-Policy."""
    found = _INLINE.findall(_index())
    return [
        "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found
    ]


def _component_chunks() -> list[str]:
    """Streamlit loads the chunk for our components late; its name carries a hash."""
    return sorted(path.name for path in (_static() / "static" / "js").glob("BidiComponent.*.js"))


def page(path: str, query: str) -> str:
    """Return the page for `path`, with its modules, styles and first data announced."""
    head = ['<script src="/assets/boot.js"></script>']
    head += [f'<link rel="stylesheet" href="/assets/{name}">' for name in STYLES]
    head += [f'<link rel="modulepreload" href="/assets/{name}">' for name in _modules(path)]
    head += [
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in _component_chunks()
    ]
    head += [f'<link rel="preload" as="fetch" crossorigin href="{url}">' for url in _first_data(path, query)]
    html = _index().replace("<head>", "<head>" + "".join(head), 1)
    return html.replace('<div id="root"></div>', _CURTAIN + '<div id="root"></div>', 1)


_CURTAIN: Final = (
    '<div id="sr-curtain" aria-hidden="true"><div class="sr-curtain-bar"></div>'
    '<div class="sr-curtain-head"></div><div class="sr-curtain-rows"></div></div>'
)


@cache
def _modules(path: str) -> tuple[str, ...]:
    """The modules a page needs, found by following the imports of its first one."""
    root = files("spanreel_viewer") / "assets"
    seen: list[str] = []
    waiting = list(_MODULES.get(path, ()))
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.append(name)
        source = root.joinpath(*name.split("/")).read_text(encoding="utf-8")
        folder = Path(name).parent
        waiting += [_resolve(folder, target) for target in _IMPORT.findall(source)]
    return tuple(seen)


def _resolve(folder: Path, target: str) -> str:
    parts = list(folder.parts)
    for step in target.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)


def _first_data(path: str, query: str) -> list[str]:
    if path != "/trace":
        return []
    named = parse_qs(query).get("trace", [""])[0]
    return [f"/api/trace?trace={named}"] if _HEX_ID.match(named) else []
