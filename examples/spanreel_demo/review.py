"""Judging answers after the fact: a reasoning model reads an answer beside its documents, the verdict becomes a score."""

from __future__ import annotations

from pydantic import BaseModel, Field

import spanreel
from spanreel_demo.models import client, models
from spanreel_demo.search import search

TASK = "Name the sentences of the answer that the documents do not support. Figures must be in the documents."


class Verdict(BaseModel):
    """What the judge found."""

    unsupported: list[str] = Field(description="Sentences that no document supports, word for word.")


@spanreel.trace(kind="evaluator")
def judge(question: str, answer: str, *, trace_id: str) -> Verdict:
    """Judge the answer of trace `trace_id`, and score it: 1 where every sentence is supported, else less."""
    pages = search(question)
    found = "\n".join(f'<document id="{page["id"]}">\n{page["content"]}\n</document>' for page in pages)
    completion = client().chat.completions.parse(
        model=models().reasoning,
        messages=[
            {"role": "system", "content": spanreel.prompt("judge", TASK)},
            {"role": "user", "content": f"{found}\n\n{answer}"},
        ],
        response_format=Verdict,
    )
    verdict = completion.choices[0].message.parsed or Verdict(unsupported=[])
    spanreel.score(
        "supported",
        1.0 / (1 + len(verdict.unsupported)),
        label="supported" if not verdict.unsupported else "unsupported",
        comment=" ".join(verdict.unsupported) or None,
        trace_id=trace_id,
        source="judge",
    )
    return verdict
