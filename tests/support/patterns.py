"""Plays the graphs of `graphs/library/patterns` in simulations, with times of the test's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from runs.engine.simulate import Options, Scripted, Simulation, simulate, simulate_shuffled
from tools.builtin import basic

LIBRARY = Path(__file__).parents[2] / "graphs" / "library" / "patterns"


def pattern(number: int) -> dict[str, Any]:
    """The graph of a pattern."""
    [path] = LIBRARY.glob(f"wcp{number:02}_*.json")
    return json.loads(path.read_text())


def taking(**times_s: float | Callable[..., float]) -> dict[str, Scripted]:
    """The built-in tools, each task of these names so slow. A function is called with the `values` of `set_state`."""

    def takes_s(ctx, values=None) -> float:
        time_s = times_s.get(ctx.node, 0.0)
        return time_s(values) if callable(time_s) else time_s

    return {name: Scripted(returns=getattr(basic, name), takes_s=takes_s) for name in ("noop", "set_state")}


def play(number: int, state: dict[str, Any] | None = None, **options: Unpack[Options]) -> Simulation:
    return simulate(pattern(number), state, **{"real_tools": True, **options})


def play_shuffled(number: int, state: dict[str, Any] | None = None, **options: Unpack[Options]) -> Simulation:
    """In ten orders, raising Diverged unless each has the same result."""
    return simulate_shuffled(pattern(number), state, orders=10, **{"real_tools": True, **options})


def span(result: Simulation, node: str) -> tuple[float, float | None]:
    """From when to when the only step of a node went on."""
    step = result.step(node)
    return step.started_at_s, step.ended_at_s


def starts(result: Simulation, node: str) -> list[float]:
    return [step.started_at_s for step in result.attempts(node)]


def endings(result: Simulation, *nodes: str) -> list[str]:
    return [step.ending for node in nodes for step in result.attempts(node)]
