"""What passes between a driver and a tool's process, as JSON: no pickle, no code, nothing is imported for it.

A driver sends `call` and `cancel`, and `recorded` when a part of a tool is on disk. The process says `ready` when it
can be called; during a call `log`, `stream`, `heartbeat` and `part`; and at its end `returned`, `raised` or, where a
tool asks people, `asked`. All but the first carry the number of the call, so that what a tool leaves running is not
heard in the next call.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from runs.driver.logs import clean, cut
from runs.driver.process.frames import FrameInvalid
from runs.engine.retries import asked_for_s
from tools import Command, Context
from tools.base import Tool
from tools.parts import Interrupt, PartLimits
from tools.results import packed, unpacked
from tools.strict_json import Json

Message = dict[str, Json]

MAX_MESSAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a call ended. `spent`: the process is not good for another one."""

    value: Json | Command = None
    error: BaseException | None = None
    traceback: str = ""
    spent: bool = False


def read_answer(message: Message) -> Answer:
    """The answer in a `returned` or `raised` message. Raises FrameInvalid."""
    try:
        if message["type"] == "returned":
            return Answer(value=unpacked(message))
        if message["type"] == "raised":
            trace = clean(message["traceback"])
            return Answer(error=_read_error(message), traceback=trace, spent=message["spent"] is True)
        if message["type"] == "asked":
            return Answer(error=Interrupt(str(message["name"]), dict(message["question"])))
    except (KeyError, TypeError, ValueError) as error:
        raise FrameInvalid(f"An answer makes no sense: {error!r:.200}") from error
    raise FrameInvalid(f"There is no message of the type {message['type']!r:.100}.")


def max_bytes() -> int:
    """The longest message of a process. The parts of a `Command` are as large as an update, each."""
    return 4 * settings.WORKFLOW.max_update_bytes + 1024 * 1024


def call(
    tool: Tool,
    *,
    inputs: Mapping[str, Json],
    local_names: Mapping[str, Json],
    state: Mapping[str, Json],
    context: Context,
    timeout_s: float,
) -> Message:
    """The call of a tool. Only what the tool can see of the state goes along."""
    wants_all = any(parameter.kind == "state" for parameter in tool.parameters)
    names = state if wants_all else {parameter.name for parameter in tool.parameters}.intersection(state)
    return {
        "type": "call",
        "tool": tool.name,
        "inputs": dict(inputs),
        "local_names": dict(local_names),
        "state": {name: state[name] for name in names},
        "context": {
            "run_id": context.run_id,
            "step_id": context.step_id,
            "node": context.node,
            "attempt": context.attempt,
            "last_heartbeat": context.last_heartbeat,
        },
        "recorded": dict(context.parts.recorded),
        "timeout_s": timeout_s,
    }


def part_limits() -> PartLimits:
    """The bounds of the parts of a step."""
    limits = settings.WORKFLOW
    return PartLimits(
        max_parts=limits.max_step_parts,
        max_part_bytes=limits.max_update_bytes,
        max_bytes=limits.max_state_bytes,
        max_depth=limits.max_json_depth,
    )


# --------------------------------------------------------------------------- results


def returned(result: Json | Command) -> Message:
    """What a tool returned, checked by `tools.results`."""
    return {"type": "returned", **packed(result)}


def asked(question: Interrupt) -> Message:
    """What a tool asks people."""
    return {"type": "asked", "name": question.name, "question": question.question}


# --------------------------------------------------------------------------- errors


def raised(error: BaseException, *, traceback: str) -> Message:
    """What a tool raised. After a MemoryError nobody knows what is missing in the process."""
    return {
        "type": "raised",
        "spent": isinstance(error, MemoryError),
        "classes": [[cls.__module__, cls.__qualname__, cls.__name__] for cls in type(error).__mro__[:-1]],
        "message": _words(error) or _limit_of(error),
        "traceback": traceback,
        "retry_after": asked_for_s(error, now=datetime.now(UTC)) or None,
    }


def _words(error: BaseException) -> str:
    try:
        return cut(clean(error), MAX_MESSAGE_BYTES)
    except BaseException:  # an exception's own __str__ is a tool's code, too
        return "(its message cannot be read)"


def _limit_of(error: BaseException) -> str:
    """What an error that says nothing is about, as far as we know."""
    if not isinstance(error, MemoryError):
        return ""
    limit_bytes = settings.WORKFLOW.process_memory_bytes
    return f"The tool's process may use {limit_bytes:,} bytes of memory (WORKFLOW_PROCESS_MEMORY_BYTES)."


def _read_error(message: Message) -> BaseException:
    """An exception that goes by the names of the one in a `raised` message.

    Its class is made here, on top of the nearest base that this process has loaded, so that `isinstance` holds for a
    tool's `retryable`. The base's constructor is not run.
    """
    classes = message["classes"]
    said = {"__str__": lambda self: self.args[0], "retry_after": message["retry_after"]}
    for index, (module, qualname, _) in enumerate(classes):
        base = _loaded(module, qualname)
        if base is not None and [cls.__name__ for cls in base.__mro__[:-1]] == [name for *_, name in classes[index:]]:
            try:
                return _make([name for *_, name in classes[: max(index, 1)]], base, said, message["message"])
            except Exception:  # noqa: S112 - a base that cannot be derived from, or is made in its own way
                continue
    raise ValueError("These are no names of an exception's classes.")


def _make(names: Sequence[str], base: type[BaseException], said: dict[str, Any], text: str) -> BaseException:
    cls = base
    for name in reversed(names):
        cls = type(name, (cls,), said)
    error = cls.__new__(cls)
    error.args = (text,)
    return error


def _loaded(module: str, qualname: str) -> type[BaseException] | None:
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
