"""Bedrock's Converse API, plain and as an event stream: tools, reasoning, caches, guardrails.

`fold_converse` reads the same bodies where InvokeModel carries them (Amazon's Nova models).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols.bedrock_parts import finish, message, model, parts, tool_definitions, usage
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import STREAM_CUT, Exchange, strings
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, number, parse, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class BedrockConverse:
    """`POST /model/MODEL/converse` or `/converse-stream`."""

    name = "bedrock.converse"
    kind = "llm"
    operation = "chat"
    suffixes: tuple[str, ...] = ("/converse", "/converse-stream")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a model in the path, and messages, which a stored prompt may stand in for."""
        told = isinstance(request.get("messages"), list) or isinstance(request.get("promptVariables"), dict)
        return told and model(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the path
        """Return the path's model."""
        return model(path)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a piece of text, reasoning, citation or a tool's input."""
        return carries_output(event)

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for a piece of text."""
        return carries_text(event)

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the stop, or for the usage after it."""
        return ends(event)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, usage and stop reason."""
        return fold_converse(exchange, provider=provider(exchange.host, exchange.port, self.name))


def carries_output(event: Mapping[str, Any]) -> bool:
    """Tell whether an event holds something the model said."""
    delta = mapping(event.get("delta"))
    thought, call = mapping(delta.get("reasoningContent")), mapping(delta.get("toolUse"))
    said = delta.get("text") or call.get("input") or thought.get("text") or thought.get("redactedContent")
    return bool(said or delta.get("citation") or delta.get("image"))


def carries_text(event: Mapping[str, Any]) -> bool:
    """Tell whether an event holds text that a reader sees."""
    return bool(mapping(event.get("delta")).get("text"))


def ends(event: Mapping[str, Any]) -> bool:
    """Tell whether a stream that has seen this event is whole."""
    return text(event.get("type")) in {"messageStop", "metadata"}


def fold_converse(exchange: Exchange, *, provider: str) -> Call:
    """Turn an exchange in this API's form into a call."""
    request = exchange.request
    found = assemble(exchange.events) if exchange.streamed else exchange.body
    whole = not exchange.streamed or exchange.done or any(ends(event) for event in exchange.events[-3:])
    error_type, error_message = exchange.error_type, exchange.error_message
    if not whole and error_type is None:
        error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
    reason = finish(found.get("stopReason"))
    if error_type is not None:
        reason = reason or "error"
    answer = mapping(mapping(found.get("output")).get("message"))
    said = parts(answer.get("content"))
    answered = bool(said) or (error_type is None and bool(answer))
    routed = mapping(mapping(found.get("trace")).get("promptRouter"))
    return Call(
        provider=provider,
        operation="chat",
        request_model=model(exchange.path),
        response_model=text(routed.get("invokedModelId")),
        stream=exchange.streamed or exchange.path.endswith("-stream"),
        parameters=parameters(request) | response_parameters(found),
        input_messages=[message(item) for item in sequence(request.get("messages"))],
        output_messages=[
            {
                "role": text(answer.get("role")) or "assistant",
                "parts": said,
                **present({"finish_reason": reason}),
            }
        ]
        if answered
        else (),
        system_instructions=parts(request.get("system")),
        tool_definitions=tool_definitions(request.get("toolConfig")),
        finish_reasons=(reason,) if reason else (),
        usage=usage(found.get("usage")),
        error_type=error_type,
        error_message=error_message,
        output_started=whole,
    )


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every request parameter that has a name in the conventions, and ours that explain answers."""
    config, extra = (
        mapping(request.get("inferenceConfig")),
        mapping(request.get("additionalModelRequestFields")),
    )
    wanted, guard = mapping(request.get("outputConfig")), mapping(request.get("guardrailConfig"))
    format_, thinking = mapping(wanted.get("textFormat")), mapping(extra.get("thinking"))
    top_k = integer(extra.get("top_k"))
    return present(
        {
            "gen_ai.request.temperature": number(config.get("temperature")),
            "gen_ai.request.top_p": number(config.get("topP")),
            "gen_ai.request.top_k": integer(config.get("topK")) if top_k is None else top_k,
            "gen_ai.request.max_tokens": integer(config.get("maxTokens")),
            "gen_ai.request.stop_sequences": strings(config.get("stopSequences")) or None,
            "gen_ai.request.reasoning.level": text(wanted.get("effort")),
            "gen_ai.output.type": "json" if format_.get("type") == "json_schema" else None,
            "aws.bedrock.guardrail.id": text(guard.get("guardrailIdentifier")),
            "aws.bedrock.request.service_tier": text(mapping(request.get("serviceTier")).get("type")),
            "aws.bedrock.request.latency": text(mapping(request.get("performanceConfig")).get("latency")),
            "anthropic.thinking.type": text(thinking.get("type")),
            "anthropic.thinking.budget_tokens": integer(thinking.get("budget_tokens")),
            "spanreel.request.response_format": dict(format_) or None,
            "spanreel.request.tool_choice": mapping(request.get("toolConfig")).get("toolChoice"),
            "spanreel.prompt.variables": dict(mapping(request.get("promptVariables"))) or None,
        }
    )


def response_parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the response adds: its stop reason in Bedrock's words, how it was served, what the guard did."""
    guarded = mapping(mapping(found.get("trace")).get("guardrail"))
    return present(
        {
            "aws.bedrock.stop_reason": text(found.get("stopReason")),
            "aws.bedrock.latency_ms": integer(mapping(found.get("metrics")).get("latencyMs")),
            "aws.bedrock.response.service_tier": text(mapping(found.get("serviceTier")).get("type")),
            "aws.bedrock.guardrail.action": text(guarded.get("actionReason")),
            "aws.bedrock.guardrail.trace": dict(guarded) or None,
        }
    )


def assemble(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the response together that a stream's events add up to, or as much of it as came."""
    built = _Built()
    for event in events:
        built.add(event)
    content = [built.blocks[index].block() for index in sorted(built.blocks)]
    answer = {"role": built.role, "content": content} if content or built.role else {}
    return {**built.head, "output": {"message": answer}}


@dataclass(slots=True)
class _Block:
    """One content block: as it started, and the pieces that came for it."""

    start: Mapping[str, Any] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    results: list[Any] = field(default_factory=list)
    citations: list[Any] = field(default_factory=list)
    whole: dict[str, Any] = field(default_factory=dict)

    def add(self, delta: Mapping[str, Any]) -> None:
        thought = mapping(delta.get("reasoningContent"))
        for kind, piece in (
            ("text", delta.get("text")),
            ("input", mapping(delta.get("toolUse")).get("input")),
            ("thought", thought.get("text")),
            ("signature", thought.get("signature")),
            ("redacted", thought.get("redactedContent")),
        ):
            if isinstance(piece, str):
                self.texts.setdefault(kind, []).append(piece)
        self.results.extend(sequence(delta.get("toolResult")))
        if "citation" in delta:
            self.citations.append(delta["citation"])
        if "image" in delta:
            self.whole["image"] = delta["image"]

    def block(self) -> dict[str, Any]:
        joined = {kind: "".join(pieces) for kind, pieces in self.texts.items()}
        if "toolUse" in self.start or "input" in joined:
            given = joined.get("input", "")
            value = parse(given) if given else {}
            call = {**mapping(self.start.get("toolUse")), "input": given if value is None else value}
            return {"toolUse": call}
        if "toolResult" in self.start or self.results:
            return {"toolResult": {**mapping(self.start.get("toolResult")), "content": self.results}}
        if "redacted" in joined:
            return {"reasoningContent": {"redactedContent": joined["redacted"]}}
        if "thought" in joined or "signature" in joined:
            thought = {"text": joined.get("thought", ""), **present({"signature": joined.get("signature")})}
            return {"reasoningContent": {"reasoningText": thought}}
        if self.whole:
            return {"image": {**mapping(self.start.get("image")), **mapping(self.whole["image"])}}
        if self.citations:
            content = [{"text": joined.get("text", "")}]
            return {"citationsContent": {"content": content, "citations": self.citations}}
        return {"text": joined.get("text", "")}


@dataclass(slots=True)
class _Built:
    """The response of a stream: its head, and its blocks by their index."""

    head: dict[str, Any] = field(default_factory=dict)
    role: str = ""
    blocks: dict[int, _Block] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "messageStart":
                self.role = text(event.get("role")) or "assistant"
            case "contentBlockStart":
                self._block(event).start = mapping(event.get("start"))
            case "contentBlockDelta":
                self._block(event).add(mapping(event.get("delta")))
            case "messageStop":
                self.head["stopReason"] = event.get("stopReason")
            case "metadata":
                self.head.update({key: value for key, value in event.items() if key in _METADATA})
            case _:
                pass

    def _block(self, event: Mapping[str, Any]) -> _Block:
        return self.blocks.setdefault(integer(event.get("contentBlockIndex")) or 0, _Block())


_METADATA = ("usage", "metrics", "trace", "serviceTier", "performanceConfig")
