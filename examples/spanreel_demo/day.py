"""A day at the desk, told in scenes. Each scene leaves one trace or a few, and some of them go wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import openai

import spanreel
from spanreel_demo import tools
from spanreel_demo.agent import ask, instructions, reply, with_pages
from spanreel_demo.inbox import sort_inbox
from spanreel_demo.model_server import Fault, ModelServer
from spanreel_demo.models import Message, client, models
from spanreel_demo.research import research
from spanreel_demo.retrieval import handbook
from spanreel_demo.review import judge
from spanreel_demo.search import search

TRACES = 20
"""How many traces the whole day leaves."""
CUT_SHORT_AFTER = 24
"""Characters of an answer that are heard before its process is killed."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a scene may need: the bundled server if it is in use, and where the recording goes."""

    server: ModelServer | None
    store: Path

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Let the model fail; a real one cannot be told to, so there the scene goes well."""
        if self.server is not None:
            self.server.fail_next(fault, times)


def talk(customer: str, questions: list[str], *, thumbs_up: bool, remark: str) -> None:
    """Hold a conversation: one session, a trace for each question, and the customer's verdict on the last answer."""
    history: list[Message] = []
    trace_id = ""
    session = f"{customer.split(maxsplit=1)[0].lower()}-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 - a name, no time
    with spanreel.session(session, user=customer, tags=["chat"], metadata={"channel": "app"}):
        for question in questions:
            with spanreel.span("chat message", kind="chain", input=question) as message:
                answer = ask(question, history, customer=customer)
                message.set_output(answer)
            trace_id = message.trace_id
            history.append({"role": "user", "content": question})
            history.append({"role": "assistant", "content": answer})
    spanreel.score(
        "helpful", float(thumbs_up), comment=remark, trace_id=trace_id, source="human", author=customer
    )


def mira(_day: Day) -> None:
    """Ask three things, the last one moves money."""
    questions = [
        "How do I store and charge the battery in winter?",
        "And where is my order FW-10305? When will the parcel arrive?",
        "I changed my mind about the Sprig. Please start the refund of my order FW-10218.",
    ]
    talk("Mira Kovač", questions, thumbs_up=True, remark="That was quick, thank you!")


def jonas(_day: Day) -> None:
    """Ask three things, the last one is refused."""
    questions = [
        "My Bracken shows the error code E30. Can it still be ridden?",
        "Please find a free slot for a service visit in Graz on Thursday.",
        "I would rather return the bike, order FW-09911, and get a refund.",
    ]
    talk("Jonas Weber", questions, thumbs_up=False, remark="Nobody told me about the 30 days.")


def family(_day: Day) -> None:
    """Search two halves of the handbook at once; the answer is cut at its limit."""
    asyncio.run(research("Which bike carries two children, and what do a service and theft cover cost?"))


def mail(_day: Day) -> None:
    """Sort the inbox in a pool of threads."""
    sort_inbox()


def emoji(_day: Day) -> None:
    """Ask in more than ASCII."""
    ask(
        "Hallo 👋 the lights on my battery blink red 3×. Is it broken? Grüße aus Zürich 🚲",  # noqa: RUF001
        customer="Zoë Grünwald",
    )


def plane(_day: Day) -> None:
    """Get an answer that holds a made-up fact, and have it judged."""
    question = "Can I take my Sprig on a plane, or where else do I get a battery?"
    with spanreel.span("question of the day", kind="chain", input=question) as span:
        answer = ask(question)
        span.set_output(answer)
    judge(question, answer, trace_id=span.trace_id)


def card(_day: Day) -> None:
    """Be stopped by the guardrail."""
    ask("My card 4111 1111 1111 1111 was charged twice, why?", customer="Nadia Rossi")


def freight(_day: Day) -> None:
    """Meet a tool that does not work; the answer says so."""
    ask("Where is the parcel of my order FW-10277?", customer="Amina Haddad")


def crash(_day: Day) -> None:
    """Meet a bug: an order without an amount, an exception that nobody handles."""
    with suppress(TypeError):
        ask("Please refund my order FW-10190, I send the bike back.", customer="Tomasz Lis")


def busy(day: Day) -> None:
    """Be told to come back later (429); the client waits and tries again."""
    day.fail(Fault.RATE_LIMIT)
    ask("What does the warranty on the battery cover?")


def outage(day: Day) -> None:
    """Get three 500s; another model takes over."""
    day.fail(Fault.OUTAGE, times=3)
    ask("How much does Ride Plus cost, and can it be paused?")


def silence(day: Day) -> None:
    """Wait for a word that never comes."""
    day.fail(Fault.SILENCE)
    with suppress(openai.APITimeoutError):
        ask("Is the Juniper in stock?", patience=0.4 if day.server else 0.02)


def report(_day: Day) -> None:
    """Send more than the model can read: the whole handbook and every order."""
    task = "Write a report about the week: which rules did the orders meet?"
    pages = "\n\n".join(f"# {page.title}\n{page.text}" for page in handbook())
    orders = "\n".join(json.dumps(order, ensure_ascii=False) for order in tools.all_orders())
    with suppress(openai.BadRequestError), spanreel.span("weekly report", kind="workflow", input=task):
        client().chat.completions.create(
            model=models().small_window,
            max_tokens=1000,
            messages=[
                {"role": "system", "content": task},
                {"role": "user", "content": f"{pages}\n\n{orders}"},
            ],
        )


def glance(_day: Day) -> None:
    """Read only the first words of an answer and go away."""
    question = "Which error codes does the display show?"
    with spanreel.span("preview", kind="chain", input=question) as span:
        answer = reply([instructions("a visitor"), with_pages(question, search(question)[:3])])
        span.set_output("".join(itertools.islice(answer, 6)))


def cut_short(day: Day) -> None:
    """Kill the process that is answering, with SIGKILL, in the middle of a sentence."""
    day.fail(Fault.STANDSTILL)
    child = subprocess.Popen(
        [sys.executable, "-m", "spanreel_demo.cut_short"],
        env={**os.environ, "SPANREEL_STORE": str(day.store), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        assert child.stdout is not None
        child.stdout.read(CUT_SHORT_AFTER)
        child.kill()


PARTS: tuple[tuple[str, tuple[Callable[[Day], None], ...]], ...] = (
    ("two customers with three questions each", (mira, jonas)),
    ("a family, the inbox, an emoji, a plane", (family, mail, emoji, plane)),
    ("a card number, a carrier that is down, a bug", (card, freight, crash)),
    ("a rate limit, an outage, silence, too long a prompt", (busy, outage, silence, report)),
    ("a reader who leaves, a process that is killed", (glance, cut_short)),
)
