"""What each reason of a loss means in plain words, and what a person can do about it."""

from __future__ import annotations

from typing import Final

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "journal_unwritable": (
        "records that found no room: the disk was full or the store could not be written, longer than memory bridged",
        "free disk space or fix the store's permissions; recording goes on by itself",
    ),
    "store_vanished": (
        "the store was deleted or moved while a program recorded; it was made anew",
        "nothing, if that was on purpose",
    ),
    "torn_record": (
        "records cut off by the death of their program in the middle of a write",
        "nothing; one is normal after a kill",
    ),
    "garbage_record": (
        "journal lines that are no records",
        "check the disk, and that nothing else writes into the journal folder",
    ),
    "unknown_record": ("journal lines of a newer spanreel", "upgrade spanreel here: pip install -U spanreel"),
    "garbage_attempt": (
        "HTTP exchanges whose record could not be read",
        "report it; the span itself is kept",
    ),
    "garbage_attributes": ("attributes that could not be read", "report it; the span itself is kept"),
    "garbage_error": ("error details that could not be read", "report it; the span itself is kept"),
    "duplicate_start": ("spans that were started twice", "nothing; the first counts"),
    "duplicate_end": ("spans that were ended twice", "nothing; the first counts"),
    "duplicate_span": ("spans that were recorded twice", "nothing; the first counts"),
    "start_missing": ("spans whose beginning was lost", "nothing; they are shown as `(start lost)`"),
    "normalise_failed": (
        "spans whose attributes could not be interpreted",
        "report it; they are shown as recorded",
    ),
    "price_file_unreadable": (
        "times that costs were worked out without a prices.toml that cannot be used",
        "`spanreel cost` names the file, the line and the key",
    ),
    "dialect_failed": (
        "spans of other tools of which one reading failed; the others were used",
        "report it, with the span's attributes",
    ),
    "duplicates_failed": (
        "batches in which spans of one call could not be looked for; each span there counts as a call",
        "report it, with the trace",
    ),
    "embedding_vector_cut": (
        "embedding vectors in imported attributes, kept as their number of dimensions",
        "nothing; the numbers stay with the exporter",
    ),
    "otlp_attributes_cut": (
        "imported spans with more than 16 MB of attributes, whose longest texts were cut",
        "nothing, unless you need them whole",
    ),
    "fold_failed": ("LLM calls whose bytes could not be interpreted", "report it; the bytes are kept"),
    "score_without_trace": ("scores given outside of any trace", "pass trace_id= to spanreel.score"),
    "hooks_not_loaded": (
        "Python processes under `spanreel run` that did not load the recorder",
        "start them without -I, -E and -S, with spanreel installed, or call spanreel.instrument() in them",
    ),
    "middleware_callable_failed": (
        "requests whose session, user or skip callable raised",
        "fix the callable given to SpanreelMiddleware; the log `spanreel` (debug) has the message",
    ),
    "stream_items_not_kept": ("items of long streams beyond the limit", "nothing; head and count are kept"),
    "wire_truncated": (
        "HTTP bodies beyond the limit, kept in part",
        "nothing, unless you replay: then raise the limit",
    ),
    "wire_streamed_request": (
        "uploads sent as a stream, whose bytes were not kept",
        "nothing; the call itself is recorded",
    ),
    "unseen_library": (
        "a library whose calls the wire does not see",
        "nothing, unless models are called through it: then decorate those functions, @spanreel.trace.llm",
    ),
    "unrecorded_framework": (
        "a framework whose steps are not recorded, only its calls on the wire",
        "nothing, unless you miss its steps: call spanreel.instrument(), or start it with spanreel run",
    ),
    "orphan_record": (
        "records of spans whose beginning was lost with their program",
        "nothing; one is normal after a kill",
    ),
    "capture_truncated": (
        "values too large or too deep, kept as head, tail, length and hash",
        "nothing, unless you need them whole",
    ),
    "capture_budget": (
        "values whose capture took too long, kept in part",
        "leave them out: @spanreel.trace(ignore=(...))",
    ),
    "capture_failed": ("values that could not be captured", "leave them out: @spanreel.trace(ignore=(...))"),
    "redact_failed": (
        "texts withheld because the redaction of your own failed on them",
        "fix the callable given as redact=",
    ),
    "redact_unusable": (
        "redaction settings that could not be used",
        "see spanreel.configure(redact=); the defaults were applied",
    ),
}
_INTERNAL: Final = "internal:"
NOTES: Final = ("unseen_library", "unrecorded_framework")
"""Reasons that tell of something in a program rather than of something lost; what follows their colon is its name."""


def is_note(reason: str) -> bool:
    """Tell whether a reason is a note about a program, of which nothing was lost."""
    return reason.partition(":")[0] in NOTES


def describe_note(reason: str) -> tuple[str, str, str]:
    """Return (name, what is not recorded of it, what to do) for a note; a framework's has its own remedy in brackets."""
    kind, _, name = reason.partition(":")
    what, advice = describe(kind)
    if kind == "unrecorded_framework" and name.endswith(")"):
        name, _, advice = name[:-1].partition(" (")
    return name, what, advice


def describe(reason: str) -> tuple[str, str]:
    """Return (what was lost, what to do) for a reason; total."""
    known = _WORDS.get(reason) or _WORDS.get(reason.partition(":")[0])
    if known is not None:
        return known
    if reason.startswith(_INTERNAL):
        place = reason.removeprefix(_INTERNAL)
        return (
            f"a failure of spanreel itself in {place}; the program was not affected",
            'report it; logging.getLogger("spanreel").setLevel("DEBUG") shows the traceback',
        )
    return reason.replace("_", " "), "nothing is known about this reason here; a newer spanreel may know it"
