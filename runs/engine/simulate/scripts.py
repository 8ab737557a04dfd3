"""Scripts: what tools and people do in a simulation.

A script may be given as a function, as a value that is always returned, as an exception that is always raised, or as
`Scripted`, which adds how long it takes and which attempts fail. A function gets its arguments like a tool does: by
name, from the node's inputs, else from what its map or handler gives, else from the state, else its default; `ctx` and
`state` are what they are to a tool. It stands in for the tool, so it need not take every argument that the tool takes.
A function that is registered with `@tool` is called by the tool's own rules, types and all.

A script depends on what is recorded of the run and on nothing else: which entry of `fails` counts follows from the
failures of the step so far, so an attempt that dies with its worker is repeated, not skipped.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from runs.engine.events import Json, JsonObject
from runs.engine.simulate.errors import SimulationError
from tools import Context, registry
from tools.base import Tool
from tools.calling import NO_NAMES, bind
from tools.parts import Interrupt
from tools.signature import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """What a tool does, how long that takes, and what goes wrong first. For `answers`: what a person does."""

    returns: Any = None
    """What it returns; a function is called for it, an exception is raised."""
    takes_s: float | Callable[..., float] = 0.0
    """Seconds of virtual time for one attempt; a function is called like the tool."""
    fails: Sequence[BaseException | None] = ()
    """What the first, the second … attempt of each step raises, None for one that does not; later ones do not."""


@dataclass(frozen=True, slots=True)
class At:
    """A signal that arrives so many seconds after the start."""

    at_s: float
    name: str
    payload: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a call came to."""

    arguments: JsonObject = field(default_factory=dict)
    takes_s: float = 0.0
    value: Any = None
    error: BaseException | None = None


class Script:
    """What one tool or person does."""

    def __init__(self, name: str, given: object) -> None:
        """Raises SimulationError for a function whose parameters cannot be read, and for failures that are none."""
        script = given if isinstance(given, Scripted) else Scripted(returns=given)
        for failure in script.fails:
            if failure is not None and not isinstance(failure, BaseException):
                raise SimulationError(f'What "{name}" fails with is an exception or None, not {failure!r:.100}.')
        self.fails = script.fails
        self._value = None if _is_called(script.returns) else script.returns
        self._takes_s = 0.0 if callable(script.takes_s) else script.takes_s
        self.tool = _tool(name, script.returns) if _is_called(script.returns) else None
        """What is called, if it is a function."""
        self._timer = _tool(name, script.takes_s) if callable(script.takes_s) else None

    @classmethod
    def of_tool(cls, tool: Tool) -> Script:
        """The tool itself, in no time."""
        return cls(tool.name, tool.function)

    def run(
        self,
        *,
        inputs: Mapping[str, Json],
        state: Mapping[str, Json],
        context: Context,
        failures: int,
        local_names: Mapping[str, Json] = NO_NAMES,
    ) -> Done:
        """Make the call. What is raised in it is in the result; so is what keeps it from being made."""
        try:
            given = {} if self.tool is None else _bind(self.tool, inputs, local_names, state, context)
            timed = {} if self._timer is None else _bind(self._timer, inputs, local_names, state, context)
            takes_s = self._takes_s if self._timer is None else self._timer.function(**timed)
        except Exception as error:
            return Done(error=error)
        shown = {name: value for name, value in given.items() if name not in ("ctx", "state")}
        try:
            return Done(arguments=shown, takes_s=takes_s, value=self._call(given, failures))
        except (Exception, Interrupt) as error:
            return Done(arguments=shown, takes_s=takes_s, error=error)

    def _call(self, arguments: JsonObject, failures: int) -> Any:
        error = self.fails[failures] if failures < len(self.fails) else None
        if error is None and isinstance(self._value, BaseException):
            error = self._value
        if error is not None:
            raise error
        return self._value if self.tool is None else _awaited(self.tool.function(**arguments))


class Answers:
    """What people answer to one node or question: all the same, or each something else."""

    def __init__(self, node: str, given: object) -> None:
        self._all = Script(node, given)
        self._each = [Script(node, one) for one in given] if isinstance(given, list | tuple) else None

    def of(self, quorum: int) -> list[tuple[str, Script]]:
        """Those who answer, with their scripts. A list is one answer, but to a quorum it is an answer for each."""
        each = self._each if self._each is not None and quorum > 1 else [self._all] * quorum
        return [(f"person {number}", script) for number, script in enumerate(each, start=1)]


def is_stand_in(tool: Tool) -> bool:
    """Whether it is a function of a test, and nothing is known about what the tool itself takes."""
    return not tool.signature_hash


def _is_called(returns: object) -> bool:
    return callable(returns) and not isinstance(returns, BaseException)


def _tool(name: str, function: Callable[..., Any]) -> Tool:
    return registry.tool_of(function) or stand_in(name, function)


def stand_in(name: str, function: Callable[..., Any]) -> Tool:
    """A function as a tool whose arguments may be anything."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise SimulationError(f'The parameters of the script "{name}" cannot be read: {error}.') from error
    return Tool(
        name=name,
        description="",
        function=function,
        is_async=False,
        effect="pure",
        parameters=tuple(_parameter(one) for one in signature.parameters.values()),
        arguments_schema={},
        result_schema={},
        signature_hash="",
    )


def _parameter(parameter: inspect.Parameter) -> Parameter:
    if parameter.kind is parameter.VAR_KEYWORD:
        return Parameter(name="**", required=False)
    kind = {"ctx": "context", "state": "state"}.get(parameter.name, "argument")
    required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    return Parameter(name=parameter.name, kind=kind, required=required)  # type: ignore[arg-type]


def _bind(
    tool: Tool,
    inputs: Mapping[str, Json],
    local_names: Mapping[str, Json],
    state: Mapping[str, Json],
    context: Context,
) -> JsonObject:
    """As a tool is called; a stand-in gets of the inputs what it takes, and all of them if it takes `**anything`."""
    if not is_stand_in(tool):
        return bind(tool, inputs=inputs, local_names=local_names, state=state, context=context)
    names = {parameter.name for parameter in tool.parameters}
    taken = {name: value for name, value in inputs.items() if name in names}
    arguments = bind(tool, inputs=taken, local_names=local_names, state=state, context=context)
    return {**inputs, **arguments} if "**" in names else arguments


def _awaited(value: Any) -> Any:
    """What an async function comes to, in a loop of its own."""
    if not inspect.isawaitable(value):
        return value
    if _is_loop_running():  # that of an async test, which is busy with us
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(_run, value).result()
    return _run(value)


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(value: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await value

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(wait())
