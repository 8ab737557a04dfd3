"""What a running tool knows about its step, and how it talks while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from tools.strict_json import Json, thaw

LogLevel = Literal["debug", "info", "warning", "error"]


def _drop(*_: str) -> None:
    """The sink of a context that nobody listens to."""


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
    on_log: Callable[[str, LogLevel], None] = field(default=_drop, repr=False)
    on_stream: Callable[[str], None] = field(default=_drop, repr=False)
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
