"""The process that does not live to finish its answer; `day.cut_short` starts and kills it."""

from __future__ import annotations

import spanreel
from spanreel_demo.agent import instructions, reply, with_pages
from spanreel_demo.search import search


@spanreel.trace(kind="agent", name="support desk")
def answer_aloud(question: str) -> None:
    """Print an answer as it comes."""
    for piece in reply([instructions("Lotte de Vries"), with_pages(question, search(question)[:4])]):
        print(piece, end="", flush=True)


if __name__ == "__main__":
    answer_aloud("What do the lights on the battery mean when they blink red?")
