"""What the desk can do besides talking: little functions over the company's data, and some of them fail.

Each is a `tool` span. The description that the model is given is the docstring, the schema comes from the hints.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, cast

from openai.types.chat import ChatCompletionFunctionToolParam
from pydantic import Field, TypeAdapter

import spanreel

TODAY = date(2026, 11, 24)
"""The company's calendar stands still, so that the same questions find the same answers."""
RETURN_DAYS, RETURN_KM, FREE_KM, FEE_PER_KM = 30, 100, 20, 1.50
APPROVAL_ABOVE = 2000.00
"""From the handbook: policies/returns-window and policies/refund-exceptions; amounts in EUR."""

OrderId = Annotated[str, Field(pattern=r"^FW-\d{5}$")]
ParcelId = Annotated[str, Field(pattern=r"^(?:PN|GF)-\d{6}$")]
Day = Annotated[date, Field(description="YYYY-MM-DD")]
City = Literal["Hamburg", "Leipzig", "Utrecht", "Ghent", "Graz"]
Product = Literal["Sprig", "Bracken", "Juniper", "charger", "helmet"]
Priority = Annotated[
    Literal["normal", "high", "urgent"],
    Field(description="high: complaint angry again; urgent: unsafe brake stranded smoke steady"),
]
Result = dict[str, Any]


class ToolError(Exception):
    """A tool could not do what it was asked; the model is told and may go on."""


class CarrierError(ToolError):
    """The carrier's tracking service does not answer."""


class RefundError(ToolError):
    """The handbook forbids this refund."""


@spanreel.trace.tool
def lookup_order(order_id: OrderId) -> Result:
    """Look up an order: its status, parcel, items and amount; before a refund too."""
    for order in _data("orders"):
        if order["order_id"] == order_id:
            return dict(order)
    raise ToolError(f"there is no order {order_id}")


@spanreel.trace.tool
def track_parcel(parcel_id: ParcelId) -> Result:
    """Ask the carrier where the parcel of an order is."""
    if parcel_id.startswith("GF"):
        raise CarrierError("GreenFreight answered 503 Service Unavailable")
    parcels = _data("parcels")
    if parcel_id not in parcels:
        raise ToolError(f"{parcel_id} is not known to ParcelNord")
    return {"parcel_id": parcel_id, **parcels[parcel_id]}


@spanreel.trace.tool
def start_refund(
    order_id: OrderId,
    reason: Annotated[
        Literal["changed_mind", "faulty", "charged_twice"],
        Field(
            description="changed_mind: send back return size; faulty: broken defect; charged_twice: double charge"
        ),
    ],
) -> Result:
    """Start the refund of an order that is sent back or returned, or was charged twice: money back to the customer."""
    order = lookup_order(order_id)
    if reason == "changed_mind":
        _check_return(order)
    fee = max(0, order["ridden_km"] - FREE_KM) * FEE_PER_KM if reason == "changed_mind" else 0.0
    amount = round(order["amount"] - fee, 2)
    state = "prepared, waits for a team lead" if amount > APPROVAL_ABOVE else "started"
    return {
        "order_id": order_id,
        "refund_eur": amount,
        "wear_fee_eur": fee,
        "state": state,
        "to": order["paid_by"],
    }


def _check_return(order: Result) -> None:
    if order["delivered"] is None:
        raise RefundError(f"{order['order_id']} has not been delivered yet")
    last_day = date.fromisoformat(order["delivered"]) + timedelta(days=RETURN_DAYS)
    if last_day < TODAY:
        raise RefundError(f"the {RETURN_DAYS} days for a return ended on {last_day}")
    if order["ridden_km"] >= RETURN_KM:
        raise RefundError(
            f"the bike has been ridden {order['ridden_km']} km, {RETURN_KM} km or more are excluded"
        )


@spanreel.trace.tool
def create_ticket(subject: str, priority: Priority) -> Result:
    """Open a ticket so that a colleague takes over: a complaint, something unsafe."""
    hours = {"normal": 4.0, "high": 2.0, "urgent": 0.5}[priority]
    number = sum(subject.encode("utf-8")) % 9000 + 1000
    return {"ticket": f"T-{number}", "subject": subject, "priority": priority, "answer_within_hours": hours}


@spanreel.trace.tool
def workshop_slots(city: City, day: Day) -> Result:
    """Find free slots for a workshop visit, service or appointment in a city on a day."""
    on = str(day)
    if date.fromisoformat(on) < TODAY:
        raise ToolError(f"{on} is in the past")
    return {"city": city, "day": on, "free_slots": _data("calendar")[city].get(on, []) or "none"}


@spanreel.trace.tool
def check_stock(product: Product) -> Result:
    """Check how many of a product are in stock, available to buy now, and its price."""
    return {"product": product, **_data("stock")[product]}


def all_orders() -> list[Result]:
    """Return every order, as the weekly report wants them."""
    return list(_data("orders"))


@cache
def _data(name: str) -> Any:
    return json.loads((files("spanreel_demo") / "data" / f"{name}.json").read_text(encoding="utf-8"))


def describe(tool: Callable[..., object]) -> ChatCompletionFunctionToolParam:
    """Describe a function to the model, in OpenAI's form."""
    schema = TypeAdapter(inspect.unwrap(tool)).json_schema()
    function = {
        "name": tool.__name__,
        "description": inspect.getdoc(tool),
        "parameters": schema,
        "strict": True,
    }
    return cast("ChatCompletionFunctionToolParam", {"type": "function", "function": function})
