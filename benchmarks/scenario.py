"""What a measurement is, and a row of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table: a number that a scenario reports."""

    key: str
    """Its name in what the scenario prints."""
    title: str
    unit: str
    more_is_better: bool = False
    target: float | None = None
    """The most our median may be; the least where more is better."""
    target_ratio: float | None = None
    """How many times better than the peer's median ours has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A measurement that runs in a fresh process, on a fresh database file, on each side."""

    name: str
    ours: tuple[str, Mapping[str, Any]]
    """The measure of `benchmarks.ours` and its parameters."""
    peer: tuple[str, Mapping[str, Any]] | None
    """The measure of `benchmarks.langgraph_side`; None where there is nothing to compare."""
    figures: tuple[Figure, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of our side."""
    database: Literal["sqlite", "postgres"] = "sqlite"
    """Of both sides."""
    timeout_s: float = 600
    """Of each side."""
    is_long: bool = False
    """It takes minutes, and is measured on demand only."""
    is_quick: bool = True
    """It is measured by `--quick` too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A row that divides the medians of two scenarios: how a figure grows with the size of the work."""

    title: str
    key: str
    large: str
    small: str
    target: float
