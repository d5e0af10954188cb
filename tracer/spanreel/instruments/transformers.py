"""transformers pipelines: text generation is an llm span, feature extraction an embedding span, other tasks plain ones.

Tokens are counted from the tensors of each forward step. A pipeline that is given a generator or a dataset
answers lazily: its span is that of the call, without what is drawn from it later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from spanreel.guard import guard
from spanreel.instruments import local_models
from spanreel.instruments.local_models import Ask, observe, running
from spanreel.instruments.patching import Patches

SYSTEM = "transformers"
GENERATES = frozenset({
    "text-generation", "text2text-generation", "summarization", "translation", "image-text-to-text",
    "any-to-any", "conversational",
})  # fmt: skip
_OPTIONS = {
    "max_new_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "num_return_sequences": "gen_ai.request.choice.count",
}
_MADE = ("generated_sequence", "output_ids")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the base class of all pipelines, of `transformers.pipelines.base`."""
    patches = Patches()
    patches.wrap(module.Pipeline, "__call__", _call)
    patches.wrap(module.Pipeline, "forward", _forward)
    return patches.undo


def _call(wrapped: Any, pipeline: Any, args: Any, kwargs: Any) -> Any:
    task = str(getattr(pipeline, "task", "") or "")
    generates = task in GENERATES or task.startswith("translation")
    inputs = args[0] if args else kwargs.get("inputs")

    def ask() -> Ask:
        chat = _messages(inputs)
        operation = "chat" if chat else "text_completion"
        kind = "llm" if generates else "embedding" if task.endswith("feature-extraction") else "span"
        about = {name: kwargs.get(option) for option, name in _OPTIONS.items()} if generates else {}
        about["spanreel.task"] = task or None
        if generates:
            about["gen_ai.input.messages"] = chat or _prompts(inputs)
        if kind == "embedding":
            operation = "embeddings"
            about["spanreel.texts"] = len(inputs) if isinstance(inputs, list) else 1
        elif kind == "span":
            operation = task or "pipeline"
        name = getattr(getattr(pipeline, "model", None), "name_or_path", None)
        plain = isinstance(inputs, (str, list, tuple, dict))
        return Ask(
            system=SYSTEM,
            kind=kind,
            operation=operation,
            model=name or None,
            given=(chat or inputs) if plain or chat else None,
            attributes=about,
        )

    def read(result: Any) -> tuple[Mapping[str, Any], Any]:
        if not isinstance(result, (list, tuple, dict)) and not hasattr(result, "shape"):
            return {}, None
        if task.endswith("feature-extraction"):
            return _features(result, several=isinstance(inputs, list))
        answer = _answer(result, inputs) if generates else None
        about = {} if answer is None else {"gen_ai.output.messages": answer}
        return about, result

    return observe(ask, lambda: wrapped(*args, **kwargs), read)


def _forward(wrapped: Any, pipeline: Any, args: Any, kwargs: Any) -> Any:
    call = running(SYSTEM)
    given: int | None = None
    length = 0
    with guard("models.tokens"):
        if call is not None and args:
            given = local_models.tokens(args[0])
            ids = args[0].get("input_ids") if hasattr(args[0], "get") else None
            shape = getattr(ids, "shape", None)
            length = int(shape[-1]) if shape is not None else 0
    outputs = wrapped(*args, **kwargs)
    with guard("models.tokens"):
        if call is not None:
            call.count(given=given, made=_made(pipeline, outputs, length))
    return outputs


def _made(pipeline: Any, outputs: Any, length: int) -> int | None:
    """How many tokens were generated: those after the prompt, up to the first that ends the text."""
    if not isinstance(outputs, Mapping):
        return None
    found = next((outputs[name] for name in _MADE if name in outputs), None)
    if found is None or not hasattr(found, "reshape"):
        return None
    config = getattr(getattr(pipeline, "model", None), "config", None)
    if getattr(config, "is_encoder_decoder", False):
        length = 1  # the token that begins the answer
    generation = getattr(getattr(pipeline, "model", None), "generation_config", None)
    ends = getattr(generation, "eos_token_id", None)
    final = set(ends) if isinstance(ends, (list, tuple)) else {ends}
    pad = getattr(generation, "pad_token_id", None)
    return sum(_until(row[length:], final, pad) for row in found.reshape(-1, found.shape[-1]).tolist())


def _until(row: list[int], final: set[Any], pad: Any) -> int:
    for number, token in enumerate(row):
        if token in final:
            return number + 1
        if token == pad:
            return number
    return len(row)


def _messages(inputs: Any) -> list[Any] | None:
    """The messages of a chat, if that is what is asked with."""
    inner = getattr(inputs, "messages", None)
    given = inner if isinstance(inner, (list, tuple)) else inputs
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], Mapping) and "role" in given[0]:
        return list(given)
    return None


def _prompts(inputs: Any) -> list[Any] | None:
    return [{"role": "user", "content": inputs}] if isinstance(inputs, str) else None


def _answer(result: Any, inputs: Any) -> list[Any] | None:
    """The messages that one prompt or chat was answered with; the prompt itself is not part of the answer."""
    if not isinstance(result, list) or not result or not isinstance(result[0], Mapping):
        return None
    found = []
    for one in result:
        text = next((one[name] for name in one if str(name).endswith("_text")), None)
        if isinstance(text, list) and text:
            found.append(text[-1])
        elif isinstance(text, str):
            prompt = inputs if isinstance(inputs, str) else ""
            found.append({"role": "assistant", "content": text.removeprefix(prompt)})
    return found or None


def _features(result: Any, *, several: bool) -> tuple[dict[str, Any], Any]:
    """`[text][1][token][dimension]`, or a tensor of one text's."""
    count = len(result) if several else 1
    shape = getattr(result[0] if several and not hasattr(result, "shape") else result, "shape", None)
    inner = result
    while (
        shape is None and isinstance(inner, (list, tuple)) and inner and isinstance(inner[0], (list, tuple))
    ):
        inner = inner[0]
    dimension = int(shape[-1]) if shape is not None else len(inner)
    told = {"gen_ai.embeddings.dimension.count": dimension}
    return told, [{"type": "embedding", "count": count, "dimension": dimension}]
