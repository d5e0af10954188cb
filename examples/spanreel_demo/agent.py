"""The support desk: it plans, searches the handbook, calls tools and answers.

All that spanreel needs to know stands here as a decorator or a `with` line. The calls of the model need neither: they
are seen where they leave the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Literal

import openai
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel, Field

import spanreel
from spanreel_demo import tools
from spanreel_demo.models import Message, client, models
from spanreel_demo.search import Hit, rerank, search

MAX_ROUNDS = 4
INSTRUCTIONS = """\
You are the support desk of Fernwheel, a maker of electric bikes. Today is {today}. You talk to {customer}.

Answer from the documents in the message and from the results of your tools, and from nothing else. Name the document
after each sentence that you take from it, like this: [policies/returns-window]. If the documents do not say it, say
so and offer a ticket; never guess a price, a date or a limit. Keep figures exactly as they are written, with their
units. Prices are in EUR and include VAT.

Use a tool when the question is about one order, one parcel, one workshop or one product. Hand everything that moves
money to the billing specialist. Be brief and friendly, use the language of the customer, never ask for card numbers
or passwords, and do not promise what a colleague would have to do.
"""
BILLING = (
    "You are the billing specialist of Fernwheel. Today is {today}. Look the order up before you move money."
)


class Plan(BaseModel):
    """What the model says about a question before it is answered."""

    topic: Literal["delivery", "money", "plan", "repair", "advice"] = Field(
        description="delivery: parcel order arrive; money: refund pay charge; plan: ride month; repair: broken workshop"
    )
    queries: list[str] = Field(description="One or two searches for the handbook.")


@spanreel.trace(kind="agent", name="support desk")
def ask(
    question: str,
    history: Sequence[Message] = (),
    *,
    customer: str = "a customer",
    patience: float | None = None,
) -> str:
    """Answer a question; `history` holds the conversation so far, `patience` is how long to wait for a word (s)."""
    try:
        hold_back_card_numbers(question)
    except ValueError:
        return "Please never send card numbers, nobody here needs them. The number of your order is enough."
    plan = make_plan(question, history)
    spanreel.current_span().set_attribute("desk.topic", plan.topic)
    pages = rerank(question, [hit for query in plan.queries for hit in search(query)])
    messages = [instructions(customer), *history, with_pages(question, pages)]
    return "".join(reply(messages, patience=patience))


@spanreel.trace(kind="guardrail")
def hold_back_card_numbers(text: str) -> None:
    """Refuse a message that holds the number of a payment card."""
    if re.search(r"\b(?:\d[ -]?){15}\d\b", text):
        raise ValueError("the message holds a card number")


@spanreel.trace
def make_plan(question: str, history: Sequence[Message] = ()) -> Plan:
    """Let the model say what the question is about and what to search for."""
    task = spanreel.prompt("plan", "Plan the search for a support desk. Today is {today}.", today=tools.TODAY)
    completion = client().chat.completions.parse(
        model=models().chat,
        messages=[{"role": "system", "content": task}, *history, {"role": "user", "content": question}],
        response_format=Plan,
    )
    return completion.choices[0].message.parsed or Plan(topic="advice", queries=[question])


def instructions(customer: str) -> Message:
    """Render the system message; the calls that use it carry the prompt's name, version and variables."""
    text = spanreel.prompt("support-desk", INSTRUCTIONS, version="3", today=tools.TODAY, customer=customer)
    return {"role": "system", "content": text}


def with_pages(question: str, pages: Sequence[Hit]) -> Message:
    """Put the pages into the user's message, each with its id."""
    found = "\n".join(f'<document id="{page["id"]}">\n{page["content"]}\n</document>' for page in pages)
    return {"role": "user", "content": f"{found}\n\nQuestion: {question}"}


@spanreel.trace
def reply(messages: list[Message], *, patience: float | None = None) -> Iterator[str]:
    """Stream the answer; as long as the model asks for tools instead, run them and ask again.

    The span of a generator ends when the last item is taken, or when the reader goes away.
    """
    for _ in range(MAX_ROUNDS):
        try:
            message = yield from _stream(models().chat, messages, patience)
        except openai.InternalServerError:
            message = yield from _stream(models().fallback, messages, patience)
        if not message.tool_calls:
            return
        messages = [*messages, *run_tools(message, DESK_TOOLS)]


def _stream(
    model: str, messages: Sequence[Message], patience: float | None
) -> Generator[str, None, ChatCompletionMessage]:
    asked = client() if patience is None else client().with_options(timeout=patience, max_retries=0)
    with asked.chat.completions.stream(
        model=model,
        messages=messages,
        tools=[tools.describe(tool) for tool in DESK_TOOLS.values()],
        stream_options={"include_usage": True},
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                yield event.delta
        return stream.get_final_completion().choices[0].message


def run_tools(
    message: ChatCompletionMessage, available: Mapping[str, Callable[..., object]]
) -> list[Message]:
    """Run the tools the model asked for; return its message and a result for each call."""
    calls = [
        call for call in message.tool_calls or () if isinstance(call, ChatCompletionMessageFunctionToolCall)
    ]
    asked: Message = {
        "role": "assistant",
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in calls
        ],
    }
    results: list[Message] = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": run_tool(available[call.function.name], call.function.arguments),
        }
        for call in calls
    ]
    return [asked, *results]


def run_tool(tool: Callable[..., object], arguments: str) -> str:
    """Run one tool and return JSON text; a `ToolError` becomes a result that says what went wrong."""
    result: Any
    try:
        result = tool(**json.loads(arguments))
    except tools.ToolError as error:
        result = {"error": str(error)}
    return json.dumps(result, ensure_ascii=False)


@spanreel.trace(kind="agent", name="billing specialist")
def ask_billing(order_id: tools.OrderId, request: str) -> dict[str, str]:
    """Hand a refund, return or double charge of an order over to the billing specialist, who moves the money back."""
    task = spanreel.prompt("billing", BILLING, today=tools.TODAY)
    messages: list[Message] = [
        {"role": "system", "content": task},
        {"role": "user", "content": f"Order {order_id}. {request}"},
    ]
    for _ in range(MAX_ROUNDS):
        completion = client().chat.completions.create(
            model=models().reasoning,
            messages=messages,
            tools=[tools.describe(tool) for tool in BILLING_TOOLS.values()],
        )
        message = completion.choices[0].message
        if not message.tool_calls:
            return {"answer": message.content or ""}
        messages += run_tools(message, BILLING_TOOLS)
    return {"answer": "The billing specialist came to no decision."}


def _by_name(*functions: Callable[..., object]) -> dict[str, Callable[..., object]]:
    return {function.__name__: function for function in functions}


BILLING_TOOLS = _by_name(tools.lookup_order, tools.start_refund)
DESK_TOOLS = _by_name(
    tools.lookup_order,
    tools.track_parcel,
    tools.workshop_slots,
    tools.check_stock,
    tools.create_ticket,
    ask_billing,
)
