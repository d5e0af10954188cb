"""Frameworks whose steps are told by an instrumentor of others': which is taken, and how it is put in.

They are put in by `spanreel.instrument()` and `spanreel run`, for frameworks that the program imports itself and
whose instrumentor is installed (an extra of ours brings it). The instrumentor is found by its distribution, since
several families use the same entry point names. Where the program uses it itself, now or later, ours steps aside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanreel.guard import guard
from spanreel.hooks import Hook, Hooks, Outcome

if TYPE_CHECKING:
    from types import ModuleType

GROUP: Final = "opentelemetry_instrumentor"
LOCK_S: Final = 5.0
"""How long an import of the program waits for another thread's activation at most."""


class Framework(NamedTuple):
    """One framework: what the program imports, who tells of its steps, and how to see that it does."""

    name: str
    """In `spanreel.instrument()`."""
    module: str
    """The module that is waited for, by its import name."""
    label: str
    extra: str
    """`pip install 'spanreel[EXTRA]'` brings the instrumentor."""
    mark: str
    """What the module of that name must have: others may be called the same."""
    minimum: tuple[int, ...]
    below: tuple[int, ...]
    distribution: str
    """Of the framework: its version counts."""
    instrumentor: str = ""
    """Distribution of the instrumentor; empty where the framework brings it itself."""
    proof: str = ""
    """`module:path` of what an instrumentor has wrapped once it is in."""
    options: Mapping[str, Any] = {}

    @property
    def install_line(self) -> str:
        """How to get the instrumentor."""
        return f"pip install 'spanreel[{self.extra}]'"


TABLE: Final = (
    Framework("langchain", "langchain_core", "LangChain", "langchain", "", (0, 3, 9), (2,), "langchain-core",
              "openinference-instrumentation-langchain", "langchain_core.callbacks:BaseCallbackManager.__init__"),
    Framework("langgraph", "langgraph.graph", "LangGraph", "langgraph", "StateGraph", (0, 2), (2,), "langgraph",
              "openinference-instrumentation-langchain"),
    Framework("llama_index", "llama_index.core", "LlamaIndex", "llama-index", "VectorStoreIndex", (0, 14, 19), (0, 16), "llama-index-core",
              "openinference-instrumentation-llama-index"),
    Framework("haystack", "haystack", "Haystack", "haystack", "Pipeline", (2, 18), (4,), "haystack-ai",
              "openinference-instrumentation-haystack", "haystack.core.pipeline.pipeline:Pipeline.run"),
    Framework("crewai", "crewai", "CrewAI", "crewai", "Crew", (1, 10, 1), (2,), "crewai",
              "openinference-instrumentation-crewai", "crewai:Crew.kickoff"),
    Framework("openai_agents", "agents", "OpenAI Agents SDK", "openai-agents", "Runner", (0, 11), (1,), "openai-agents",
              "openinference-instrumentation-openai-agents",
              options={"exclusive_processor": False}),  # its own exporter stays as it is
    Framework("pydantic_ai", "pydantic_ai", "pydantic-ai", "pydantic-ai", "Agent", (1,), (3,), "pydantic-ai-slim"),
)  # fmt: skip
BY_MODULE: Final = {framework.module: framework for framework in TABLE}


class NotWrappedError(RuntimeError):
    """An instrumentor ran and changed nothing."""


class Frameworks(Hooks):
    """The room of the frameworks; see `hooks.Hooks`."""

    def __init__(self) -> None:
        super().__init__(
            "frameworks",
            [
                Hook(
                    f.name, "spanreel.instruments.frameworks", f.minimum, f.below, (f.module,), f.distribution
                )
                for f in TABLE
            ],
        )

    def wrap(self, hook: Hook, module: ModuleType, trigger: str = "") -> Outcome:
        """Activate a framework's instrumentor, if it is there and the program does not use it itself."""
        framework = BY_MODULE[hook.triggers[0]]
        if not hasattr(module, framework.mark or "__name__"):
            return Outcome(hook.library, "not imported", f"the module of this name is not {framework.label}")
        found = None
        if framework.instrumentor:
            found = _instrumentor(framework.instrumentor)
            if found is None:
                missing = f"{framework.instrumentor} is not installed: {framework.install_line}"
                return Outcome(hook.library, "not installed", missing)
        if _taken(framework, found):
            return Outcome(hook.library, "in use", TAKEN)
        outcome = super().wrap(hook, module, trigger)
        if outcome.state == "failed" and outcome.reason.startswith("DependencyConflictError"):
            return Outcome(hook.library, "out of range", outcome.reason.partition(": ")[2])
        return outcome

    def _imported(self, hook: Hook, trigger: str, module: ModuleType) -> None:
        """As for others; an instrumentor imports more of the framework, so no import may wait for us for ever."""
        if not self._lock.acquire(timeout=LOCK_S):
            self._outcomes[hook.library] = Outcome(hook.library, "failed", "another thread held the hooks")
            return
        try:
            super()._imported(hook, trigger, module)
        finally:
            self._lock.release()

    def step_aside(self, framework: Framework) -> None:
        """Take ours out, because the program puts in the instrumentor itself."""
        with guard("frameworks.step_aside"), self._lock:
            undo = self._undo.pop(framework.module, None)
            self._wanted.discard(framework.name)
            self._outcomes[framework.name] = Outcome(framework.name, "in use", TAKEN)
            if undo is not None:
                undo()


TAKEN: Final = (
    "the program uses the instrumentor itself: add spanreel.JournalProcessor() to its TracerProvider"
)
hooks = Frameworks()
watched: tuple[Framework, ...] = TABLE
"""Those that are named where nobody records their steps."""
_told: set[tuple[str, str]] = set()
"""(procid of a journal, what was written into it)."""


def install(module: ModuleType) -> Callable[[], None]:
    """Put in the instrumentor of the framework whose top module this is, and see that it has wrapped it."""
    framework = BY_MODULE[module.__name__]
    from spanreel.instruments import framework_provider

    if framework.name == "langgraph":
        return _langgraph()
    framework_provider.install(framework.name)
    undo: list[Callable[[], None]] = [lambda: framework_provider.uninstall(framework.name)]
    try:
        if framework.name == "pydantic_ai":
            undo.append(_pydantic_ai(module))
        else:
            instrumentor = _instrumentor(framework.instrumentor)
            assert instrumentor is not None  # `wrap` has asked
            undo.append(_put_in(framework, instrumentor))
            if framework.name == "langchain":
                from spanreel.instruments import langchain_context

                undo.append(langchain_context.install(instrumentor()._tracer))  # noqa: SLF001
    except BaseException:
        _unwind(undo)
        raise
    return lambda: _unwind(undo)


def _unwind(undo: list[Callable[[], None]]) -> None:
    while undo:
        with guard("frameworks.undo"):
            undo.pop()()


def _put_in(framework: Framework, kind: Any) -> Callable[[], None]:
    """Activate a BaseInstrumentor with our provider; step aside when the program activates it later."""
    from spanreel.instruments import framework_provider

    instrumentor, original = kind(), kind.instrument
    instrumentor.instrument(
        tracer_provider=framework_provider.provider(),
        raise_exception_on_conflict=True,
        **framework.options,
    )

    def instrument(self: Any, **options: Any) -> Any:
        hooks.step_aside(framework)
        return original(self, **options)

    kind.instrument = instrument

    def undo() -> None:
        if vars(kind).get("instrument") is instrument:
            del kind.instrument
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()

    if not _wrapped(framework, instrumentor):
        undo()
        raise NotWrappedError(f"{framework.instrumentor} ran, but has not wrapped {framework.label}")
    return undo


def _wrapped(framework: Framework, instrumentor: Any) -> bool:
    """Whether the framework is really changed, by looking at it."""
    if framework.name == "llama_index":
        dispatcher = import_module("llama_index.core.instrumentation").get_dispatcher()
        return any(h is instrumentor._span_handler for h in dispatcher.span_handlers)  # noqa: SLF001
    if framework.name == "openai_agents":
        told = import_module("agents.tracing").get_trace_provider()
        registered = getattr(getattr(told, "_multi_processor", None), "_processors", None)
        return registered is None or any(p is instrumentor._processor for p in registered)  # noqa: SLF001
    module, _, path = framework.proof.partition(":")
    found: Any = sys.modules.get(module)
    for step in path.split("."):
        found = getattr(found, step, None)
    return hasattr(found, "__wrapped__")


def _langgraph() -> Callable[[], None]:
    """LangGraph's steps come through LangChain's callbacks; its nodes have a context of their own."""
    from spanreel.instruments import langchain_context

    runnable = sys.modules.get("langgraph._internal._runnable")
    return (lambda: None) if runnable is None else langchain_context.follow_config(runnable)


def _pydantic_ai(module: Any) -> Callable[[], None]:
    """pydantic-ai tells of its steps itself, to the provider that it is given for all agents."""
    from opentelemetry.metrics import NoOpMeterProvider

    from spanreel.instruments import framework_provider

    settings = module.InstrumentationSettings(
        tracer_provider=framework_provider.provider(), meter_provider=NoOpMeterProvider()
    )
    before = module.Agent._instrument_default  # noqa: SLF001 - there is no public way to ask
    module.Agent.instrument_all(settings)
    if module.Agent._instrument_default is not settings:  # noqa: SLF001
        raise NotWrappedError("Agent.instrument_all() has not changed pydantic_ai.Agent")

    def undo() -> None:
        if module.Agent._instrument_default is settings:  # noqa: SLF001
            module.Agent.instrument_all(before)

    return undo


def _instrumentor(distribution: str) -> Any:
    """The instrumentor class of a distribution; None where it is not installed."""
    try:
        entries = metadata.distribution(distribution).entry_points
    except metadata.PackageNotFoundError:
        return None
    for entry in entries:
        if entry.group == GROUP:
            return entry.load()
    return None


def _taken(framework: Framework, instrumentor: Any) -> bool:
    """Whether the program has put in the instrumentor itself."""
    if framework.name == "langgraph":
        return False
    if instrumentor is not None:
        return bool(instrumentor().is_instrumented_by_opentelemetry)
    module = sys.modules.get(framework.module)
    return bool(getattr(getattr(module, "Agent", None), "_instrument_default", False))


def unrecorded(modules: Mapping[str, Any]) -> list[str]:
    """The frameworks among imported modules whose steps nobody records into our store, with what helps."""
    states = {outcome.name: outcome.state for outcome in hooks.outcomes()}
    found = []
    for framework in watched:
        module = modules.get(framework.module)
        if module is None or not hasattr(module, framework.mark or "__name__"):
            continue
        state = states.get(framework.name)
        if state == "wrapped" or (state == "in use" and "spanreel.processors" in modules):
            continue
        if framework.name == "langchain" and "langgraph.graph" in modules:
            continue  # it is named as LangGraph
        found.append(f"{framework.label} ({_remedy(framework, state)})")
    return found


def note(procid: str, loss: Callable[[str], None]) -> None:
    """Write down what is imported and not recorded in this process, once; a few dictionary look-ups."""
    for name in unrecorded(sys.modules):
        if (procid, name) not in _told:
            _told.add((procid, name))
            loss(f"unrecorded_framework:{name}")


def _remedy(framework: Framework, state: str | None) -> str:
    if state == "in use":
        return "add spanreel.JournalProcessor() to its TracerProvider"
    if state in {"out of range", "failed"}:
        return next(o.reason for o in hooks.outcomes() if o.name == framework.name)
    if framework.instrumentor and not _installed(framework.instrumentor):
        return f"{framework.install_line}, then spanreel.instrument() or spanreel run"
    return "call spanreel.instrument(), or start it with spanreel run"


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
