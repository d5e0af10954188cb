"""Sorting the morning's mail: structured output from a pool of threads, all of it in one trace."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, Field

import spanreel
from spanreel_demo.models import client, models


class Sorted(BaseModel):
    """Where a mail belongs."""

    desk: Literal["delivery", "billing", "workshop", "advice"] = Field(
        description="delivery: parcel tracking arrive; billing: refund invoice vat charge; workshop: brake battery"
        " blink broken; advice: fit size rider which"
    )
    urgent: bool = Field(description="True if urgent, unsafe, stranded, smoke or a brake that fails.")
    subject: str


@spanreel.trace
def sort_mail(text: str) -> Sorted:
    """Let the model say where one mail belongs."""
    completion = client().chat.completions.parse(
        model=models().chat,
        messages=[
            {"role": "system", "content": "Sort the mail of a bicycle maker's customers."},
            {"role": "user", "content": text},
        ],
        response_format=Sorted,
    )
    mail = completion.choices[0].message.parsed
    if mail is None:
        raise ValueError("the model gave no answer in the form that was asked for")
    return mail


@spanreel.trace(name="sort the inbox")
def sort_inbox() -> dict[str, list[str]]:
    """Sort all mail at once; spans of the pool's threads find their parent by themselves."""
    mails = json.loads((files("spanreel_demo") / "data" / "inbox.json").read_text(encoding="utf-8"))
    with ThreadPoolExecutor(max_workers=3) as pool:
        answers = list(pool.map(sort_mail, [mail["text"] for mail in mails]))
    desks: dict[str, list[str]] = {}
    for mail, answer in zip(mails, answers, strict=True):
        desks.setdefault(answer.desk, []).append(mail["from"] + (" (urgent)" if answer.urgent else ""))
    return desks
