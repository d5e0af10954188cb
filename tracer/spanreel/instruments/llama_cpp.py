"""llama-cpp-python: completions, chats and embeddings, plain and streamed.

The response tells its usage; a stream's is counted where its tokens are generated, by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from types import GeneratorType, ModuleType
from typing import Any

from spanreel import context as contexts
from spanreel import streams
from spanreel.guard import guard
from spanreel.instruments import local_models
from spanreel.instruments.local_models import Ask, Running, begin, observe
from spanreel.instruments.patching import Patches, named, parameters

SYSTEM = "llama_cpp"
_OPTIONS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "tools": "gen_ai.tool.definitions",
}
_streaming: dict[bytes, Running] = {}
"""Span id -> the stream whose span it is: it is current while the stream takes a step."""


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap `Llama` of `llama_cpp`."""
    patches = Patches()
    patches.wrap(module.Llama, "create_completion", _completion)
    patches.wrap(module.Llama, "create_chat_completion", _chat)
    patches.wrap(module.Llama, "create_embedding", _embedding)
    _count(patches, module)
    return patches.undo


def _completion(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    return _generate(wrapped, model, args, kwargs, "text_completion")


def _chat(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    return _generate(wrapped, model, args, kwargs, "chat")


def _generate(wrapped: Any, model: Any, args: Any, kwargs: Any, operation: str) -> Any:
    given = named(parameters(wrapped, bound=False), args, kwargs)

    def ask() -> Ask:
        return _ask(model, given, operation)

    if not given.get("stream"):
        return observe(ask, lambda: wrapped(*args, **kwargs), _read)
    call: Running | None = None
    with guard("models.ask"):
        call = begin(ask())
    if call is None:
        return wrapped(*args, **kwargs)
    with call.current():
        try:
            inner = wrapped(*args, **kwargs)
        except BaseException as error:
            call.span.finish(error=error)
            raise
    reel = _Chunks(call)
    if isinstance(inner, GeneratorType):
        return streams.drive(lambda: reel, inner)
    return streams.TracedIterator(inner, reel)


def _ask(model: Any, given: dict[str, Any], operation: str) -> Ask:
    prompt = given.get("messages" if operation == "chat" else "prompt")
    about = {name: given.get(option) for option, name in _OPTIONS.items()}
    messages = prompt if operation == "chat" else [{"role": "user", "content": prompt}]
    if operation == "chat" or isinstance(prompt, str):
        about["gen_ai.input.messages"] = messages
    about["gen_ai.request.stream"] = True if given.get("stream") else None
    return Ask(
        system=SYSTEM,
        kind="llm",
        operation=operation,
        model=given.get("model") or _name(model),
        given=prompt,
        attributes=about,
    )


def _name(model: Any) -> str | None:
    """The file's name: its folder is the machine's."""
    path = getattr(model, "model_path", None)
    return PurePath(path).name if isinstance(path, str) and path else None


def _read(result: Any) -> tuple[Mapping[str, Any], Any]:
    usage = result.get("usage") or {}
    choices = result.get("choices") or []
    messages = [
        choice.get("message") or {"role": "assistant", "content": choice.get("text", "")}
        for choice in choices
    ]
    told = {
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "gen_ai.response.id": result.get("id"),
        "gen_ai.response.finish_reasons": [str(choice.get("finish_reason")) for choice in choices],
        "gen_ai.output.messages": messages,
    }
    return told, messages


def _embedding(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    given = named(parameters(wrapped, bound=False), args, kwargs)

    def ask() -> Ask:
        texts = given.get("input")
        return Ask(
            system=SYSTEM,
            kind="embedding",
            operation="embeddings",
            model=given.get("model") or _name(model),
            given=texts,
            attributes={"spanreel.texts": len(texts) if isinstance(texts, list) else 1},
        )

    def read(result: Any) -> tuple[Mapping[str, Any], Any]:
        told, output = local_models.vectors([one["embedding"] for one in result["data"]])
        return {**told, "gen_ai.usage.input_tokens": result["usage"]["prompt_tokens"]}, output

    return observe(ask, lambda: wrapped(*args, **kwargs), read)


def _count(patches: Patches, module: Any) -> None:
    """Count the tokens of a stream where they are generated: those that end a text are not part of it."""

    def hook(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
        above = contexts.current().get(contexts.SPAN_KEY)
        call = None if above is None else _streaming.get(above.span)
        inner = wrapped(*args, **kwargs)
        if call is None:
            return inner
        with guard("models.tokens"):
            call.count(given=len(args[0] if args else kwargs["tokens"]), made=0)
        return _counted(inner, call, lambda token: bool(_ends(module, model, token)))

    patches.wrap(module.Llama, "generate", hook)


def _counted(inner: Iterator[int], call: Running, ends: Callable[[int], bool]) -> Iterator[int]:
    for token in inner:
        with guard("models.tokens"):
            if not ends(token):
                call.count(made=1)
        yield token


def _ends(module: Any, model: Any, token: int) -> Any:
    known = getattr(module, "llama_vocab_is_eog", None)
    if known is not None:
        return known(model._model.vocab, token)  # noqa: SLF001 - as the library asks it
    return token == model.token_eos()


class _Chunks(streams.Reel):
    """A stream's chunks, put together to one answer."""

    __slots__ = ("_call", "_parts", "_told")

    def __init__(self, call: Running) -> None:
        super().__init__(call.span)
        self._call = call
        self._parts: dict[int, dict[str, Any]] = {}
        self._told: dict[str, Any] = {}
        _streaming[call.span.span] = call

    def item(self, value: object) -> None:
        """Note one chunk."""
        with guard("models.chunk"):
            if not self._count:
                self._span.first_token()
            self._count += 1
            if isinstance(value, Mapping):
                self._told["gen_ai.response.id"] = value.get("id")
                for choice in value.get("choices") or ():
                    self._add(choice)

    def _add(self, choice: Mapping[str, Any]) -> None:
        part = self._parts.setdefault(int(choice.get("index") or 0), {"content": "", "tool_calls": {}})
        delta = choice.get("delta") or {}
        part["content"] += choice.get("text") or delta.get("content") or ""
        part["finish_reason"] = choice.get("finish_reason") or part.get("finish_reason")
        for call in delta.get("tool_calls") or ():
            known = part["tool_calls"].setdefault(call.get("index", 0), {"name": "", "arguments": ""})
            function = call.get("function") or {}
            known["id"] = call.get("id") or known.get("id")
            known["name"] = function.get("name") or known["name"]
            known["arguments"] += function.get("arguments") or ""

    def end(self) -> None:
        """End the span with the answer, as far as it came."""
        _streaming.pop(self._span.span, None)
        with guard("models.end"):
            if self._span._ended:  # noqa: SLF001 - one family with the span
                return
            messages = [_message(self._parts[index]) for index in sorted(self._parts)]
            reasons = [
                str(part["finish_reason"]) for part in self._parts.values() if part.get("finish_reason")
            ]
            told = {
                **self._told,
                "spanreel.items": self._count,
                "gen_ai.output.messages": messages if self._span._recorder.full else None,  # noqa: SLF001
                "gen_ai.response.finish_reasons": reasons or None,
            }
            if self._span._status == b"error" or self._span._error:  # noqa: SLF001
                self._span.set_attributes({key: value for key, value in told.items() if value is not None})
                self._span.close(b"")
            else:
                self._call.finish(told, messages)


def _message(part: Mapping[str, Any]) -> dict[str, Any]:
    calls = [
        {
            "id": call.get("id"),
            "type": "function",
            "function": {key: call[key] for key in ("name", "arguments")},
        }
        for call in part["tool_calls"].values()
    ]
    return {"role": "assistant", "content": part["content"], **({"tool_calls": calls} if calls else {})}
