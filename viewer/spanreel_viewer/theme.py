"""The colours and type of the viewer, once: CSS variables for our own pages, options for Streamlit's.

Kind colours were searched by script for the largest smallest difference (CIE76) over normal, protan,
deutan and tritan vision: 27.2 light, 26.6 dark, each at least 3:1 on its background. Eight kinds have a
colour of their own; `rerank`, `memory` and `span` borrow one and differ by the letter on their tile, as
colour never speaks alone here.
"""

from __future__ import annotations

from typing import Final, Literal

Mode = Literal["light", "dark"]

LETTERS: Final = {
    "agent": "A", "llm": "L", "tool": "T", "retrieval": "R", "chain": "C", "embedding": "E",
    "guardrail": "G", "evaluator": "V", "rerank": "K", "memory": "M", "span": "S",
}  # fmt: skip

_KINDS: Final[dict[Mode, dict[str, str]]] = {
    "light": {
        "agent": "#7d2ba9", "llm": "#2755f7", "tool": "#b58e2a", "retrieval": "#03a564",
        "chain": "#65666c", "embedding": "#112a3c", "guardrail": "#d961c2", "evaluator": "#3d2910",
    },
    "dark": {
        "agent": "#8625e8", "llm": "#6ba1ff", "tool": "#a06505", "retrieval": "#b4edd3",
        "chain": "#96989e", "embedding": "#32649f", "guardrail": "#c92856", "evaluator": "#e6dd95",
    },
}  # fmt: skip

_BORROWED: Final = {"rerank": "retrieval", "memory": "embedding", "span": "chain"}

TOKENS: Final[dict[Mode, dict[str, str]]] = {
    "light": {
        "bg": "#ffffff", "panel": "#f6f7f9", "raised": "#ffffff", "text": "#16181d", "muted": "#5a616c",
        "faint": "#626975", "border": "#dfe3e8", "line": "#eceff2", "accent": "#2f5fd0",
        "accent-soft": "#e4ebfb", "accent-text": "#ffffff", "hover": "#f1f3f6", "error": "#b3261e",
        "error-soft": "#fcebe9", "error-text": "#a11d16", "warn": "#7a5900", "warn-soft": "#fff5d6",
        "ok": "#0b7a4b", "shadow": "0 6px 24px rgba(22, 24, 29, 0.14)", "key": "#2f5fd0",
        "string": "#0b6b45", "number": "#8a3d00",
    },
    "dark": {
        "bg": "#0f1216", "panel": "#171b21", "raised": "#1d222a", "text": "#e6e8ec", "muted": "#a2a9b4",
        "faint": "#8b93a0", "border": "#2b313a", "line": "#20252d", "accent": "#7aa2ff",
        "accent-soft": "#1c2a47", "accent-text": "#0f1216", "hover": "#1a1f26", "error": "#e5534b",
        "error-soft": "#35191a", "error-text": "#ff9d95", "warn": "#e3b341", "warn-soft": "#302610",
        "ok": "#4cc38a", "shadow": "0 8px 28px rgba(0, 0, 0, 0.5)", "key": "#8fb1ff",
        "string": "#8fd6b0", "number": "#f0b37e",
    },
}  # fmt: skip

SANS: Final = "'Inter Variable', system-ui, -apple-system, 'Segoe UI', sans-serif"
MONO: Final = "'JetBrains Mono Variable', ui-monospace, 'SF Mono', Menlo, Consolas, monospace"

_LATIN = (
    "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+0304,U+0308,U+0329,"
    "U+2000-206F,U+20AC,U+2122,U+2191,U+2193,U+2212,U+2215,U+FEFF,U+FFFD"
)
_LATIN_EXT = (
    "U+0100-02BA,U+02BD-02C5,U+02C7-02CC,U+02CE-02D7,U+02DD-02FF,U+1E00-1E9F,U+1EF2-1EFF,"
    "U+2020,U+20A0-20AB,U+20AD-20C0,U+2113,U+2C60-2C7F,U+A720-A7FF"
)
FONTS: Final = (
    ("Inter Variable", "inter-latin-wght-normal.woff2", _LATIN),
    ("Inter Variable", "inter-latin-ext-wght-normal.woff2", _LATIN_EXT),
    ("JetBrains Mono Variable", "jetbrains-mono-latin-wght-normal.woff2", _LATIN),
)


def kind_colours(mode: Mode) -> dict[str, str]:
    """Return the colour of every kind, the borrowed ones included."""
    own = _KINDS[mode]
    return own | {kind: own[lender] for kind, lender in _BORROWED.items()}


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""

    def linear(octet: str) -> float:
        share = int(octet, 16) / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[i : i + 2]) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink(colour: str) -> str:
    """The text colour, near-white or near-black, that reads better on `colour`."""
    return max(("#ffffff", "#0f1216"), key=lambda text: contrast(text, colour))


def _variables(mode: Mode) -> str:
    pairs = [f"--sr-{name}:{value}" for name, value in TOKENS[mode].items()]
    for kind, colour in kind_colours(mode).items():
        pairs += [f"--sr-kind-{kind}:{colour}", f"--sr-ink-{kind}:{ink(colour)}"]
    return ";".join([*pairs, f"color-scheme:{mode}"])


def css() -> str:
    """Fonts and variables as a style sheet: the system's theme unless `data-theme` on the root says."""
    faces = [
        f"@font-face{{font-family:'{family}';font-style:normal;font-display:swap;font-weight:100 900;"
        f"src:url(/assets/fonts/{file}) format('woff2');unicode-range:{span}}}"
        for family, file, span in FONTS
    ]
    light, dark = _variables("light"), _variables("dark")
    return "\n".join(
        [
            *faces,
            f":root{{--sr-sans:{SANS};--sr-mono:{MONO};{light}}}",
            f"@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}",
            f":root[data-theme=dark]{{{dark}}}",
        ]
    )


def streamlit_options() -> dict[str, str | int]:
    """The same colours as Streamlit theme options, so that its own widgets belong to the page."""
    options: dict[str, str | int] = {
        "theme.font": SANS,
        "theme.codeFont": MONO,
        "theme.baseFontSize": 14,
        "theme.baseRadius": "6px",
    }
    modes: tuple[Mode, Mode] = ("light", "dark")
    for mode in modes:
        tokens = TOKENS[mode]
        options |= {
            f"theme.{mode}.primaryColor": tokens["accent"],
            f"theme.{mode}.backgroundColor": tokens["bg"],
            f"theme.{mode}.secondaryBackgroundColor": tokens["panel"],
            f"theme.{mode}.textColor": tokens["text"],
            f"theme.{mode}.borderColor": tokens["border"],
            f"theme.{mode}.linkColor": tokens["accent"],
        }
    return options
