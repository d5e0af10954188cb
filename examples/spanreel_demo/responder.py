"""The stand-in's "model": fixed rules that compose answers from the prompt they are given.

No answer is stored here. Change a document, a tool's result or the question, and the answer changes; the one
exception is `MADE_UP`, a sentence that no document supports, so that the demo has something to catch.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from spanreel_demo.retrieval import words
from spanreel_demo.tokens import count, prompt_pieces, text_of

MADE_UP = (
    "At Hamburg and Vienna airports Fernwheel lends you a flight-approved battery of 150 Wh for 19 EUR a day."
)
MADE_UP_TOPICS = frozenset(words("plane flight fly airport"))
DOCUMENT = re.compile(r'<document id="([^"]+)">\s*(.*?)\s*</document>', re.DOTALL)
EMOJI = re.compile("[\U0001f300-\U0001faff]")
NUMBER = re.compile(r"\d+(?:[.,:-]\d+)*")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MAX_SENTENCES, WORTH_SAYING = 4, 0.5
"""How many sentences an answer takes from the documents, and how well each must fit, relative to the best."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model asks for; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: text or tool calls, and how many tokens it thought before."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning_tokens: int = 0

    @property
    def finish_reason(self) -> str:
        """OpenAI's word for why the reply ends here."""
        return "tool_calls" if self.tool_calls else "stop"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The parts of a chat request that the rules look at."""

    system: str
    question: str
    earlier: tuple[str, ...]
    """The user's earlier questions, oldest first."""
    documents: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, dict[str, Any]], ...]
    """Tool results after the question: the tool's name and what it returned."""
    asked: frozenset[tuple[str, str]]
    """Tool calls made since the question: name and arguments."""
    everything: str

    @classmethod
    def read(cls, messages: Sequence[Mapping[str, Any]]) -> Prompt:
        """Take a message list apart; what counts is the last user message and what follows it."""
        last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
        questions = [
            DOCUMENT.sub("", text_of(message.get("content"))).strip().removeprefix("Question:").strip()
            for message in messages
            if message["role"] == "user"
        ]
        calls = [call for message in messages[last:] for call in message.get("tool_calls") or ()]
        names = {call["id"]: call["function"]["name"] for call in calls}
        return cls(
            system="\n".join(
                text_of(m.get("content")) for m in messages if m["role"] in ("system", "developer")
            ),
            question=questions[-1] if questions else "",
            earlier=tuple(questions[:-1]),
            documents=tuple(DOCUMENT.findall(text_of(messages[last].get("content")))) if messages else (),
            results=tuple(
                (names.get(message.get("tool_call_id", ""), "tool"), _object(text_of(message.get("content"))))
                for message in messages[last:]
                if message["role"] == "tool"
            ),
            asked=frozenset((call["function"]["name"], call["function"]["arguments"]) for call in calls),
            everything="\n".join(text_of(message.get("content")) for message in messages),
        )

    @property
    def today(self) -> date:
        """The day the system message names, or the real one."""
        found = re.search(r"\d{4}-\d{2}-\d{2}", self.system)
        return date.fromisoformat(found[0]) if found else date.today()  # noqa: DTZ011 - a support desk's local day


def respond(request: Mapping[str, Any]) -> Reply:
    """Answer one chat request."""
    prompt = Prompt.read(request["messages"])
    thinking = _reasoning_tokens(request) if str(request["model"]).startswith("o") else 0
    schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema")
    if schema:
        return Reply(json.dumps(fill(schema, prompt), ensure_ascii=False), reasoning_tokens=thinking)
    calls = tuple(choose_tools(request.get("tools") or (), prompt))
    return Reply("" if calls else compose(prompt), calls, thinking)


def _reasoning_tokens(request: Mapping[str, Any]) -> int:
    """Longer prompts are thought about longer; OpenAI bills thinking in steps of 64 tokens."""
    return 64 * (2 + len(prompt_pieces(request)) // 600)


# --- choosing tools -------------------------------------------------------------------------------------------------


def choose_tools(tools: Iterable[Mapping[str, Any]], prompt: Prompt) -> Iterator[ToolCall]:
    """Yield the tools whose description shares words with the question and whose arguments can be found."""
    question = set(words(prompt.question))
    for tool in tools:
        function = tool["function"]
        name = str(function["name"])
        about = set(words(name.replace("_", " ") + " " + function.get("description", "")))
        if len(question & about) < 2 or any(name == used for used, _ in prompt.asked):
            continue
        arguments = _arguments(function.get("parameters", {}), prompt)
        if arguments is not None:
            text = json.dumps(arguments, ensure_ascii=False)
            digest = hashlib.sha256(f"{name}{text}{prompt.question}".encode()).hexdigest()
            yield ToolCall(f"call_{digest[:24]}", name, text)


def _arguments(schema: Mapping[str, Any], prompt: Prompt) -> dict[str, Any] | None:
    """Find a value for each required parameter, or return None."""
    properties = schema.get("properties", {})
    found = {name: _argument(name, properties[name], prompt) for name in schema.get("required", ())}
    return None if None in found.values() else found


def _argument(name: str, schema: Mapping[str, Any], prompt: Prompt) -> Any:
    if "enum" in schema:
        said = [option for option in schema["enum"] if str(option).lower() in prompt.question.lower()]
        return said[0] if said else _nearest(schema, prompt.question)
    if schema.get("format") == "date":
        day = _day(prompt.question, prompt.today)
        return day.isoformat() if day else None
    if "pattern" in schema:
        # The latest mention counts: a number in a tool's result comes after the one in the question.
        mentions = re.findall(schema["pattern"].strip("^$"), prompt.everything)
        return mentions[-1] if mentions else None
    if schema.get("type") == "string" and name in ("subject", "request"):
        return _clip(prompt.question)
    return next((result[name] for _, result in prompt.results if name in result), None)


def _nearest(schema: Mapping[str, Any], text: str) -> Any:
    """Choose the option of an enum whose own words, or those after its name in the description, fit `text` best."""
    hints = dict(re.findall(r"(\w+): ([^;]+)", schema.get("description", "")))
    known = set(words(text))

    def overlap(option: object) -> int:
        return len(known & set(words(f"{str(option).replace('_', ' ')} {hints.get(str(option), '')}")))

    return max(schema["enum"], key=overlap)


def _day(text: str, today: date) -> date | None:
    """Read "2026-11-26", "26 November", "tomorrow" or a weekday (the next one after `today`)."""
    if iso := re.search(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(iso[0])
    if named := re.search(rf"(\d{{1,2}}) ({'|'.join(MONTHS)})", text):
        return date(today.year, MONTHS.index(named[2]) + 1, int(named[1]))
    if "tomorrow" in text.lower():
        return today + timedelta(days=1)
    if weekday := re.search("|".join(WEEKDAYS), text):
        ahead = (WEEKDAYS.index(weekday[0]) - today.weekday() - 1) % 7 + 1
        return today + timedelta(days=ahead)
    return None


# --- filling a JSON schema ------------------------------------------------------------------------------------------


def fill(schema: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """Build an object for structured output: each property from its type, its options and its description."""
    return {name: _value(name, part, prompt) for name, part in schema.get("properties", {}).items()}


def _value(name: str, schema: Mapping[str, Any], prompt: Prompt) -> Any:
    if "enum" in schema:
        return _nearest(schema, prompt.question)
    match schema.get("type"):
        case "boolean":
            return bool(set(words(prompt.question)) & set(words(schema.get("description", ""))))
        case "array":
            return unsupported_sentences(prompt) if name.startswith("unsupported") else _queries(prompt)
        case "integer" | "number":
            return len(prompt.documents)
        case _:
            return _clip(prompt.question)


def _queries(prompt: Prompt) -> list[str]:
    """Turn the question into search words; a short one is read together with the one before it."""
    asked = _content_words(prompt.question)
    if len(asked) < 5 and prompt.earlier:
        return [" ".join(asked), " ".join([*_content_words(prompt.earlier[-1]), *asked])]
    return [" ".join(asked)]


def _content_words(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W_]+(?:-[^\W_]+)*", text) if words(word)]


def unsupported_sentences(prompt: Prompt) -> list[str]:
    """Judge an answer: the sentences whose figures stand in none of the documents."""
    evidence = set(NUMBER.findall(" ".join(text for _, text in prompt.documents)))
    return [text for text in _sentences(prompt.question) if not set(NUMBER.findall(text)) <= evidence]


# --- composing an answer --------------------------------------------------------------------------------------------


def compose(prompt: Prompt) -> str:
    """Answer from tool results and from the sentences of the documents that fit the question best."""
    reports = [_report(name, result) for name, result in prompt.results]
    # What another agent has said already is not said twice.
    parts = [text for text in reports if not any(text in other for other in reports if other != text)]
    parts += [f"{text} [{source}]" for source, text in _best_sentences(prompt, 1 if parts else MAX_SENTENCES)]
    if not parts:
        parts = [
            "I could not find this in our handbook. Shall I open a ticket, so that a colleague looks into it?"
        ]
    if MADE_UP_TOPICS & set(words(prompt.question)):
        parts.append(MADE_UP)
    if emoji := EMOJI.search(prompt.question):
        parts.append(f"Have a good ride! {emoji[0]}")
    return " ".join(parts)


def _best_sentences(prompt: Prompt, limit: int) -> list[tuple[str, str]]:
    candidates = [(source, text) for source, body in prompt.documents for text in _sentences(body)]
    rarity = _rarity([words(text) for _, text in candidates])
    question = set(words(" ".join([prompt.question, *prompt.earlier[-1:]])))
    weights = [_weight(question, source, text, rarity) for source, text in candidates]
    ranked = sorted(range(len(candidates)), key=lambda at: (-weights[at], at))
    keep = [at for at in ranked[:limit] if weights[at] > WORTH_SAYING * weights[ranked[0]]]
    return [candidates[at] for at in sorted(keep)]


def _weight(question: set[str], source: str, text: str, rarity: Mapping[str, float]) -> float:
    inside = words(text)
    shared = sum(rarity[word] for word in question & set(inside))
    titled = 0.5 * len(question & set(words(source.partition("/")[2].replace("-", " "))))
    return (
        (shared + titled) * (1 + 0.1 * bool(NUMBER.search(text))) / math.sqrt(8 + len(inside))
        if shared
        else 0.0
    )


def _rarity(sentences: Sequence[Sequence[str]]) -> dict[str, float]:
    seen_in = Counter(word for sentence in sentences for word in set(sentence))
    return {word: math.log(1 + len(sentences) / times) for word, times in seen_in.items()}


def _sentences(text: str) -> list[str]:
    lines = [
        line for line in text.splitlines() if line.strip() and not line.startswith(("# ", "Last changed:"))
    ]
    return [
        part
        for line in lines
        for part in re.split(r"(?<=[.!?;\]])\s+(?=[A-Z])", line.strip())
        if count(part) > 4
    ]


def _report(tool: str, result: Mapping[str, Any]) -> str:
    """Say in a sentence what a tool returned."""
    if "error" in result:
        return f"{_plain(tool).capitalize()} did not work: {result['error']}."
    if isinstance(result.get("answer"), str):
        return str(result["answer"])
    facts = [(key, value) for key, value in result.items() if value]
    head = _plain(tool).capitalize()
    if facts and facts[0][0].endswith("_id"):
        key, value = facts.pop(0)
        head = f"{key.removesuffix('_id').capitalize()} {value}"
    return f"{head}: {', '.join(_fact(key, value) for key, value in facts)}."


def _fact(key: str, value: object) -> str:
    said = " and ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    if isinstance(value, float):
        said = f"{value:.2f}"
    return f"{_plain(key.removesuffix('_eur'))} {said}{' EUR' if key.endswith('_eur') else ''}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _clip(text: str, limit: int = 80) -> str:
    first = text.splitlines()[0] if text else ""
    return first if len(first) <= limit else first[:limit].rsplit(" ", 1)[0] + " …"


def _object(text: str) -> dict[str, Any]:
    """Parse a tool's result; what is no JSON object is kept as its text."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"answer": text}
    return parsed if isinstance(parsed, dict) else {"result": parsed}
