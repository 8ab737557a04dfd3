"""What a running tool knows about its step, and how it talks while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from tools.parts import Parts
from tools.strict_json import Json, thaw

LogLevel = Literal["debug", "info", "warning", "error"]


class _Nothing:
    """Stands for an argument that was not given, where None is one."""


NOTHING = _Nothing()


def _drop(*_: str) -> None:
    """The sink of a context that nobody listens to."""


def _ignore(_: Json) -> None:
    """The heart that nobody watches."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The step a tool runs in. A tool takes it by a parameter named `ctx` or annotated `Context`.

    In a test of a tool, `Context()` is enough; give `on_log` or `on_stream` to see what the tool says. A tool may use
    its context from several threads.
    """

    run_id: str = ""
    """The run's UUID."""
    step_id: str = ""
    """Twenty hex digits that stay the same over all attempts of the step."""
    node: str = ""
    attempt: int = 1
    deadline: datetime | None = None
    """When this attempt is given up, in UTC; None if never."""
    last_heartbeat: Json = None
    """The details of the last heartbeat of an attempt before this one; None if there was none."""
    parts: Parts = field(default_factory=Parts, repr=False)
    """What `step` and `interrupt` gave in the attempts before this one, and give in it."""
    on_log: Callable[[str, LogLevel], None] = field(default=_drop, repr=False)
    on_stream: Callable[[str], None] = field(default=_drop, repr=False)
    on_heartbeat: Callable[[Json], None] = field(default=_ignore, repr=False)
    is_cancelled: Callable[[], bool] = field(default=_never, repr=False)

    @property
    def idempotency_key(self) -> str:
        """Names this step for other systems: the same in every attempt, and in no other step."""
        return f"{self.run_id}:{self.step_id}"

    @property
    def cancelled(self) -> bool:
        """Nobody waits for the result any more. A tool in a thread should look now and then, and return."""
        return self.is_cancelled()

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Write a line to the run's log, where it stays."""
        if level not in get_args(LogLevel):
            raise ValueError(f"The log level {level!r} is none of {', '.join(get_args(LogLevel))}.")
        self.on_log(str(message), level)

    def stream(self, text: str) -> None:
        """Show text to whoever watches the run now. It is not kept after the step."""
        self.on_stream(str(text))

    def heartbeat(self, details: Json = None) -> None:
        """Say that the tool is alive, and how far it is: the next attempt finds `details` in `last_heartbeat`.

        Where the node has a `heartbeat_timeout_s`, an attempt that is silent for longer is ended. Raises JsonInvalid
        for details that JSON cannot hold, or that are too large.
        """
        self.on_heartbeat(details)

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call the function once for this step of the run, however often the tool is called, and return what it gave.

        When it returns, the value is on disk; a later attempt gets it without calling the function. It is plain JSON,
        in every attempt. What the function raises is not recorded. In a coroutine, await it: the function may then be
        async or not. Raises PartInvalid for a name that was used in this attempt, JsonInvalid for what is no JSON.
        """
        return self.parts.step(name, function, args, kwargs)

    def interrupt(
        self,
        title: str,
        form: Mapping[str, Json] | None = None,
        *,
        name: str | None = None,
        instructions: str = "",
        assignees: Mapping[str, Any] | None = None,
        quorum: int = 1,
        due_s: float | None = None,
        default: Any = NOTHING,
    ) -> Json:
        """Ask people, and return their answer; with a quorum, the list of `{"answer", "by", "at"}`.

        The arguments are those of a `human` node; `default` is the answer if there is none within `due_s`. The first
        time it does not return: the tool ends here, holds nothing while people think, and is called again from its
        start when they have answered. So do what must not be done twice in `step`. Without a `name` the questions of a
        tool are told apart by their order. Raises PartInvalid for a name that was used in this attempt.
        """
        question: dict[str, Any] = {"title": title, "quorum": quorum}
        optional = {"instructions": instructions, "form": form, "assignees": assignees, "due_s": due_s}
        question |= {key: value for key, value in optional.items() if value not in (None, "")}
        if default is not NOTHING:
            question["on_due"] = {"answer": default}
        return self.parts.interrupt(question, name)


class StateView(Mapping[str, Json]):
    """The state as a step sees it, for reading. What a tool does to a value stays in the tool."""

    __slots__ = ("_copies", "_state")

    def __init__(self, state: Mapping[str, Json]) -> None:
        self._state = state
        self._copies: dict[str, Json] = {}

    def __getitem__(self, key: str) -> Json:
        if key not in self._copies:
            self._copies[key] = thaw(self._state[key])
        return self._copies[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __contains__(self, key: object) -> bool:
        return key in self._state

    def __repr__(self) -> str:
        return f"StateView({dict(self)!r})"
