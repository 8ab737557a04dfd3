"""What a simulation is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from runs.engine.simulate.errors import SimulationError
from runs.engine.simulate.scripts import At

Everywhere = Literal["everywhere"]
START: datetime = datetime(2030, 1, 1, tzinfo=UTC)


class Options(TypedDict, total=False):
    """How a simulation may be asked for, all of it optional."""

    tools: Mapping[str, Any]
    """By name what a tool does: a function, a value, an exception, or `Scripted`."""
    graphs: Mapping[str, Any]
    """By name the definitions that nodes call."""
    signals: Sequence[At]
    answers: Mapping[str, Any]
    """By node what people answer, given as for `tools`; to what a tool asks, by the name of its interrupt or by node.

    Without an entry nobody answers. To a quorum a list has a script for each person; anything else is what all answer.
    """
    order: int | None
    """A seed: what is due at the same time comes in an order of chance. None: first come, first served."""
    kill_at: int | Collection[int] | Everywhere
    """After which entries of the journal the worker dies, counted from 1; or after all."""
    cancel_at_s: float | None
    """When somebody cancels the run."""
    resumes: Sequence[float]
    """When somebody resumes the run, in case it is paused (`on_exhausted: pause`), in seconds after the start."""
    default_timeout_s: float
    """For tools of nodes without `timeout_s`, as in the setting of this name."""
    real_tools: bool
    """Whether tools without a script may be called as they are registered."""
    starts_at: datetime
    """The virtual time at the start, which matters for `wait` until a time; aware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The same with all defaults filled in, and the input, which is laid over the definition's defaults."""

    state: Mapping[str, Any]
    tools: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, Any] = field(default_factory=dict)
    signals: Sequence[At] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    order: int | None = None
    kill_at: int | Collection[int] | Everywhere = ()
    cancel_at_s: float | None = None
    resumes: Sequence[float] = ()
    default_timeout_s: float = 300.0
    real_tools: bool = False
    starts_at: datetime = START

    def check(self) -> None:
        """Raises SimulationError for values that a scenario cannot be made of."""
        if not isinstance(self.state, Mapping):
            raise SimulationError(f"The state is an object of keys and values, not {self.state!r:.100}.")
        for name in ("tools", "graphs", "answers"):
            if not isinstance(getattr(self, name), Mapping):
                raise SimulationError(f"{name} is an object by name, not {getattr(self, name)!r:.100}.")
        for signal in self.signals:
            if not isinstance(signal, At):
                raise SimulationError(f"A signal is given as At(seconds, name, payload), not {signal!r:.100}.")
        deaths = [self.kill_at] if isinstance(self.kill_at, int | str) else self.kill_at
        for death in deaths:
            if death != "everywhere" and (not isinstance(death, int) or death < 1):
                raise SimulationError(
                    f'kill_at names entries of the journal from 1, or "everywhere", not {death!r:.100}.'
                )

    @property
    def deaths(self) -> list[int]:
        """The lengths of the journal at which the worker dies, but for those of `everywhere`."""
        wanted = [self.kill_at] if isinstance(self.kill_at, int) else self.kill_at
        return [] if isinstance(wanted, str) else sorted(wanted)
