"""The parts of a tool: what `ctx.step` and `ctx.interrupt` gave, which no later attempt does again.

A part is recorded under a name. An attempt has the parts of the attempts before it and adds its own; where they are
kept is the business of whoever calls the tool. What a part gave is plain JSON from the first time on, so that a tool
sees no difference between an attempt that did the part and one that found it.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tools.errors import PartInvalid
from tools.strict_json import Json, dumps, encode, thaw

MAX_NAME_CHARACTERS = 200

Record = Callable[[str, Json], "Future[None]"]
"""Keeps a value under a name; the future is done when it is kept."""


class Interrupt(BaseException):
    """The tool asks people, and is called again when they have answered.

    No `Exception`, so that the `except Exception` of a tool lets it pass. `question` has the keys of a `human` node.
    """

    def __init__(self, name: str, question: dict[str, Json]) -> None:
        super().__init__(f"The tool asks people ({name}); it is called again when they have answered.")
        self.name = name
        self.question = question


class NotWanted(BaseException):
    """Nobody waits for the tool any more: its step was cancelled, or took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLimits:
    """Bounds of the parts of one step."""

    max_parts: int = 1_000
    max_part_bytes: int = 4 * 1024 * 1024
    max_bytes: int = 16 * 1024 * 1024
    """Of all parts together: they are kept beside the state until the step is over."""
    max_depth: int = 64


def _keep_nowhere(name: str, value: Json) -> Future[None]:
    kept: Future[None] = Future()
    kept.set_result(None)
    return kept


class Parts:
    """The parts of one attempt. A test of a tool gives those of earlier attempts: `Parts({"interrupt-1": True})`."""

    def __init__(
        self,
        recorded: Mapping[str, Json] | None = None,
        *,
        record: Record = _keep_nowhere,
        limits: PartLimits | None = None,
        refusal: str = "",
    ) -> None:
        """`refusal` says why this attempt can have no steps, where that is so."""
        self.recorded: Mapping[str, Json] = recorded or {}
        """By name what parts of earlier attempts gave."""
        self._record = record
        self._limits = limits or PartLimits()
        self._refusal = refusal
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._interrupts = 0
        self._count = len(self.recorded)
        self._size_bytes: int | None = None

    # ---- what a tool does

    def step(self, name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The value of a part; in a coroutine, an awaitable of it. See `Context.step`."""
        if self._refusal:
            raise PartInvalid(f"The step {name!r} cannot be recorded: {self._refusal}")
        if _is_in_coroutine():
            return self._step_async(name, function, args, kwargs)
        if self._claim(name):
            return thaw(self.recorded[name])
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise PartInvalid(f"The step {name!r} calls an async function; make the tool async, too, and await it.")
        kept = self._checked(name, value)
        self._record(name, kept).result()
        return thaw(kept)

    async def _step_async(
        self, name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Json:
        if self._claim(name):
            return thaw(self.recorded[name])
        value = function(*args, **kwargs)
        kept = self._checked(name, await value if inspect.isawaitable(value) else value)
        await asyncio.wrap_future(self._record(name, kept))
        return thaw(kept)

    def interrupt(self, question: dict[str, Json], name: str | None) -> Json:
        """The answer, if it was given; else raises Interrupt. See `Context.interrupt`."""
        if name is None:
            self._interrupts += 1
            name = f"interrupt-{self._interrupts}"
        if self._claim(name):
            return thaw(self.recorded[name])
        limits = self._limits
        raise Interrupt(name, encode(question, max_bytes=limits.max_part_bytes, max_depth=limits.max_depth)[1])

    # ---- what comes from a tool that runs elsewhere

    def accept(self, name: str, value: Json) -> Future[None]:
        """Keep a part that was done in another process. Raises PartInvalid and JsonInvalid."""
        if self._claim(name):
            raise PartInvalid(f"The part {name!r} is recorded already.")
        return self._record(name, self._checked(name, value))

    # ---- rules

    def _claim(self, name: str) -> bool:
        """Whether the part is recorded. Raises PartInvalid for a name that was used before in this attempt."""
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise PartInvalid(
                f"A part cannot be called {name!r:.100}: a name is text of 1 to {MAX_NAME_CHARACTERS} characters."
            )
        with self._lock:
            if name in self._names:
                raise PartInvalid(
                    f'The name {name!r} is used twice in one attempt; in a loop, number it, as in f"{name}-{{i}}".'
                )
            self._names.add(name)
            if name in self.recorded:
                return True
            self._count += 1
            if self._count > self._limits.max_parts:
                raise PartInvalid(
                    f"The part {name!r} is one too many; a step may have {self._limits.max_parts} "
                    "(WORKFLOW_MAX_STEP_PARTS). Use one part for several things, or a map."
                )
        return False

    def _checked(self, name: str, value: object) -> Json:
        limits = self._limits
        text, plain = encode(value, max_bytes=limits.max_part_bytes, max_depth=limits.max_depth)
        with self._lock:
            if self._size_bytes is None:
                self._size_bytes = sum(_size_of(dumps(part)) for part in self.recorded.values())
            self._size_bytes += _size_of(text)
            if self._size_bytes > limits.max_bytes:
                raise PartInvalid(
                    f"With the part {name!r} those of the step have {self._size_bytes} bytes; the limit is "
                    f"{limits.max_bytes}. Keep large data elsewhere and return a reference to it."
                )
        return plain


def interrupt_in(error: BaseException | None) -> Interrupt | None:
    """The question that ended a tool. That of a task group comes wrapped, the first of several counts."""
    if isinstance(error, BaseExceptionGroup):
        questions, other = error.split(Interrupt)
        error = None if questions is None or other is not None else _first_of(questions)
    return error if isinstance(error, Interrupt) else None


def _first_of(group: BaseExceptionGroup[Interrupt]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _size_of(text: str) -> int:
    return len(text.encode())


def _is_in_coroutine() -> bool:
    """Whether this thread must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
