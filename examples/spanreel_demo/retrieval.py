"""Search over the handbook: BM25 in fifty lines, no index server, no dependency."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

COLLECTIONS = ("policies", "guides")
K1, B = 1.4, 0.75
"""The usual BM25 constants: saturation of term frequency, and how much long documents are held back."""
STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "had",
        "has",
        "have",
        "hello",
        "hi",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "may",
        "me",
        "much",
        "my",
        "not",
        "of",
        "on",
        "or",
        "our",
        "out",
        "please",
        "so",
        "some",
        "still",
        "take",
        "than",
        "thanks",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the handbook; `id` is its path without the suffix."""

    id: str
    title: str
    text: str


def words(text: str) -> list[str]:
    """Split `text` into lower-case words without stop words, plural and verb endings cut off."""
    found = re.findall(r"[^\W_]+(?:-[^\W_]+)*", text.lower())
    return [_stem(word) for word in found if word not in STOP_WORDS]


def _stem(word: str) -> str:
    # A plane is no plan.
    return word if word == "plane" else re.sub(r"(?<=[^\W\d]{3})(?:ing|es|ed|s|e)$", "", word)


@cache
def handbook() -> tuple[Page, ...]:
    """Read every page, in the order of their ids."""
    root = files("spanreel_demo") / "documents"
    pages = []
    for collection in COLLECTIONS:
        for file in sorted((root / collection).iterdir(), key=lambda entry: entry.name):
            text = file.read_text(encoding="utf-8")
            title, _, body = text.partition("\n")
            page_id = f"{collection}/{file.name.removesuffix('.md')}"
            pages.append(Page(page_id, title.removeprefix("# "), body.strip()))
    return tuple(pages)


class BM25:
    """Ranks pages for a query; build it once, ask it often."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self.pages = tuple(pages)
        # A word in the title counts twice more: titles say what a page is about.
        self._counts = [Counter(words(f"{page.title} {page.title} {page.text}")) for page in self.pages]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean_length = sum(self._lengths) / max(len(self.pages), 1)
        self._pages_with = Counter(word for counts in self._counts for word in counts)

    def search(self, query: str, limit: int = 5) -> list[tuple[Page, float]]:
        """Return the best `limit` pages with their scores, best first; pages that share no word are left out."""
        scored = [(page, self._score(set(words(query)), at)) for at, page in enumerate(self.pages)]
        hits = [(page, score) for page, score in scored if score > 0]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0].id))[:limit]

    def _score(self, query: set[str], at: int) -> float:
        held_back = K1 * (1 - B + B * self._lengths[at] / self._mean_length)
        total = 0.0
        for word in query & self._counts[at].keys():
            pages_with = self._pages_with[word]
            rarity = math.log(1 + (len(self.pages) - pages_with + 0.5) / (pages_with + 0.5))
            frequency = self._counts[at][word]
            total += rarity * frequency * (K1 + 1) / (frequency + held_back)
        return total
