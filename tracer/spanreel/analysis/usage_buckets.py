"""Inclusive token counts -> exclusive buckets, and the check that the counts can all be true.

Counts on a span are inclusive, as the conventions have it: the input holds what was read from and written to
the provider's cache and every modality, the output holds reasoning. A bill needs each token once. A server that
counts the cache beside the input is found by arithmetic and put right; what cannot be put right is marked, and
such a call is not priced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.analysis.record import Canonical

CACHE_OUTSIDE_INPUT: Final = "cache_outside_input"
"""Cache reads and writes were more than the input: they were counted beside it, and have been added to it."""
REASONING_OUTSIDE_OUTPUT: Final = "reasoning_outside_output"
"""Reasoning was more than the output: it was counted beside it, and has been added to it."""
TOTAL_DIFFERS: Final = "total_differs"
"""The provider's own total is not input plus output."""
TOTAL_HOLDS: Final = "total_holds"
"""Never stored: the provider's total is input plus output, so that nothing can have been counted beside them."""
PARTS_EXCEED_INPUT: Final = "parts_exceed_input"
PARTS_EXCEED_OUTPUT: Final = "parts_exceed_output"
"""Cached, audio, image or reasoning tokens are more than the count that should hold them."""
UNUSABLE: Final = frozenset({PARTS_EXCEED_INPUT, PARTS_EXCEED_OUTPUT})
"""Marks of counts that contradict each other in a way that no reading of them resolves."""


class Buckets(NamedTuple):
    """Tokens of one call, each counted once; their sum is input plus output."""

    input: int = 0
    """Fresh, of no special modality."""
    cache_read: int = 0
    cache_write: int = 0
    """Kept for the provider's short time (five minutes at Anthropic)."""
    cache_write_1h: int = 0
    audio_input: int = 0
    audio_cache_read: int = 0
    image_input: int = 0
    output: int = 0
    """What is shown: without reasoning."""
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0


INPUTS: Final = 7
"""The first seven buckets are input."""


def buckets(row: Canonical) -> Buckets:
    """Each token of a call once. Total: counts that contradict each other are cut to what there is room for."""
    given, made = row.input_tokens or 0, row.output_tokens or 0
    read, written = row.cache_read_tokens or 0, row.cache_write_tokens or 0
    reasoning = min(row.reasoning_tokens or 0, made)
    if not (
        row.audio_input_tokens or row.audio_output_tokens or row.image_input_tokens or row.image_output_tokens
    ):
        read = min(read, given)
        written = min(written, given - read)
        hour = min(row.cache_write_1h_tokens or 0, written)
        return Buckets(
            given - read - written, read, written - hour, hour, 0, 0, 0, made - reasoning, reasoning, 0, 0
        )
    return _with_modalities(row, given, made, reasoning)


def _with_modalities(row: Canonical, given: int, made: int, reasoning: int) -> Buckets:
    """The same for calls with audio or images.

    Where the provider does not say how much of the cached input was audio, as little as possible was: text
    comes first in a prompt, and a cached prefix is its beginning.
    """
    audio, image = min(row.audio_input_tokens or 0, given), row.image_input_tokens or 0
    image = min(image, given - audio)
    read = min(row.cache_read_tokens or 0, given)
    written = min(row.cache_write_tokens or 0, given - read)
    hour = min(row.cache_write_1h_tokens or 0, written)
    text = given - audio - image
    told = row.audio_cache_read_tokens
    if told is None:
        told = max(read + written - text - image, 0)
    cached_audio = min(told, audio, read)
    fresh_audio = audio - cached_audio
    fresh_image = min(image, given - read - written - fresh_audio) if given > read + written else 0
    fresh_image = max(fresh_image, 0)
    fresh_audio = min(fresh_audio, given - read - written - fresh_image)
    fresh = given - read - written - fresh_audio - fresh_image
    spoken = min(row.audio_output_tokens or 0, made - reasoning)
    drawn = min(row.image_output_tokens or 0, made - reasoning - spoken)
    return Buckets(
        fresh, read - cached_audio, written - hour, hour, fresh_audio, cached_audio, fresh_image,
        made - reasoning - spoken - drawn, reasoning, spoken, drawn,
    )  # fmt: skip


def reconcile(row: Canonical) -> None:
    """Put right what arithmetic shows to be counted apart, and set `usage_mark` where counts contradict."""
    given, made = row.input_tokens, row.output_tokens
    written, hour = row.cache_write_tokens or 0, row.cache_write_1h_tokens or 0
    if hour > written:  # some tell the parts and not the sum
        row.cache_write_tokens = written = hour
    cached = (row.cache_read_tokens or 0) + written
    if cached and given is not None and cached > given:
        if row.usage_mark == TOTAL_HOLDS:
            row.usage_mark = PARTS_EXCEED_INPUT
        else:
            row.input_tokens = given = given + cached
            row.usage_mark = CACHE_OUTSIDE_INPUT
    reasoning = row.reasoning_tokens or 0
    if reasoning and made is not None and reasoning > made:
        if row.usage_mark == TOTAL_HOLDS:
            row.usage_mark = PARTS_EXCEED_OUTPUT
        else:
            row.output_tokens = made = made + reasoning
            row.usage_mark = row.usage_mark or REASONING_OUTSIDE_OUTPUT
    if row.usage_mark == TOTAL_HOLDS:
        row.usage_mark = None
    if (row.audio_input_tokens or 0) + (row.image_input_tokens or 0) > (given or 0):
        row.usage_mark = PARTS_EXCEED_INPUT
    elif (row.audio_output_tokens or 0) + (row.image_output_tokens or 0) > (made or 0):
        row.usage_mark = PARTS_EXCEED_OUTPUT


def by_total(raw: Mapping[str, Any], row: Canonical) -> str | None:
    """What a provider's own total says of the counts that were read from its usage object.

    Some totals leave out what was cached or reasoned (Perplexity's reasoning); that is no contradiction.
    """
    total = raw.get("total_tokens", raw.get("totalTokenCount", raw.get("totalTokens")))
    if not isinstance(total, int) or isinstance(total, bool) or total <= 0:
        return None
    whole = (row.input_tokens or 0) + (row.output_tokens or 0)
    if total == whole:
        return TOTAL_HOLDS
    cached = (row.cache_read_tokens or 0) + (row.cache_write_tokens or 0)
    reasoning = row.reasoning_tokens or 0
    return None if total in {whole - cached, whole - reasoning, whole - cached - reasoning} else TOTAL_DIFFERS
