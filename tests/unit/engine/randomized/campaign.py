"""Many samples in many orders: every order must end the same, and like the reference."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from unittest.mock import patch

from runs.engine import keys
from tests.unit.engine.randomized.play import Ending, TooLong, Trouble, play
from tests.unit.engine.randomized.samples import Sample, calling, sample

KINDS = ("plain", "dag", "map", "any", "race", "retry", "edit", "stop", "pause", "undo", "call", "migrate")
"""Modes of samples, and kinds of trouble with them. In a race (counting joins beside maps, failures, edits and retries)
and where runs are cancelled and undone, only what holds in every order is checked: nothing breaks, hangs, or differs
after a recovery."""


@dataclass
class Report:
    """What a campaign found. `failures` name the seed of the sample and the order."""

    failures: list[tuple[int, int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def campaign(kind: str, seeds: Iterable[int], orders: int, *, stop_at_first: bool = False) -> Report:
    """Play the samples of `seeds`, each in `orders` orders; in half of them nearly every join renumbers the keys."""
    report = Report()
    for seed in seeds:
        _try_sample(kind, seed, orders, report)
        if stop_at_first and report.failures:
            break
    return report


def sample_of(kind: str, seed: int) -> Sample:
    rng = random.Random(seed)
    if kind in ("plain", "dag", "map", "any", "race"):
        return sample(rng, kind)
    if kind == "undo":
        return rng.choice([sample, calling])(rng, "map")
    if kind == "call":
        return calling(rng, rng.choice(["plain", "map", "dag"]), reliable=True)
    if kind == "migrate":
        return rng.choice([sample, calling])(rng, rng.choice(["plain", "map", "dag"]), reliable=True)
    made = sample(rng, rng.choice(["plain", "map", "map", "dag"]), reliable=True)
    if kind == "stop":
        made.definition["on_failure"] = "stop"
        return Sample(definition=made.definition, behaviours=made.behaviours)
    return made


def _try_sample(kind: str, seed: int, orders: int, report: Report) -> None:
    made = sample_of(kind, seed)
    expected: Ending | None = None
    report.counts["samples"] += 1
    for order in range(orders):
        try:
            with patch.object(keys, "MIN_LENGTH_LIMIT", 3 if order % 2 else keys.MIN_LENGTH_LIMIT):
                ending = play(made, order, _trouble(kind, order))
        except TooLong:
            report.counts["too long"] += 1
            return
        except Exception as error:  # a mutant may break the engine in any way
            report.failures.append((seed, order, f"{type(error).__name__}: {error}"))
            return
        if expected is None or kind in ("any", "race", "undo"):
            expected = ending
            _count(report, ending)
        elif ending != expected and not (kind == "stop" and ending.status == expected.status == "failed"):
            report.failures.append((seed, order, "the order of outcomes made a difference"))
            return


def _trouble(kind: str, order: int) -> Trouble:
    compared = order == 1 or kind == "any"
    if kind in ("retry", "stop"):
        if order == 0:
            return Trouble()
        return Trouble(failing_first="retried", timeouts=order % 2 == 0, compared=kind == "retry" and order == 1)
    if kind == "pause":
        return Trouble(failing_first="retried", timeouts=order % 2 == 0, pauses=True) if order else Trouble()
    if kind == "call":  # nothing that has a subgraph begin again: its steps would have other names
        return Trouble(failing_first="retried", pauses=order % 2 == 0) if order else Trouble()
    if kind == "migrate":
        return Trouble(failing_first="retried", pauses=order % 2 == 0, migrates=True) if order else Trouble()
    if kind == "undo":
        return Trouble(pauses=order % 2 == 1, timeouts=order % 3 == 1, undoing=True)
    if kind == "race":
        return Trouble(failing_first="edited")
    return Trouble(failing_first="edited" if kind == "edit" else None, compared=compared)


def _count(report: Report, ending: Ending) -> None:
    report.counts[ending.status] += 1
    report.counts["steps"] += len(ending.steps)
    report.counts["conflicts"] += any(type_ == "ConcurrentUpdateError" for _, _, type_, _ in ending.errors)
    report.counts["of fewer than 4 steps"] += len(ending.steps) < 4
