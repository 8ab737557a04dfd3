"""From measured values to a table that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.runner import Outcome
from benchmarks.scenario import Figure, Growth, Scenario

COLUMNS = ("", "ours", "LangGraph", "ours is", "target", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    title: str
    ours: str
    peer: str = ""
    times_better: str = ""
    target: str = ""
    is_met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = {None: "", True: "yes", False: "NO"}[self.is_met]
        return (self.title, self.ours, self.peer, self.times_better, self.target, met)


def rows_of(scenario: Scenario, outcome: Outcome) -> list[Row]:
    """The rows of one scenario."""
    if outcome.skipped:
        return [Row(title=scenario.name, ours="skipped")]
    if outcome.failure:
        return [Row(title=scenario.name, ours="failed", is_met=False)]
    return [_compare(figure, outcome.ours[figure.key], outcome.peer.get(figure.key, [])) for figure in scenario.figures]


def growth_row(growth: Growth, outcomes: Mapping[str, Outcome]) -> Row | None:
    """The row of a growth, if both its scenarios were measured."""
    large, small = outcomes.get(growth.large), outcomes.get(growth.small)
    if large is None or small is None or not large.ours.get(growth.key) or not small.ours.get(growth.key):
        return None
    ours = median(large.ours[growth.key]) / median(small.ours[growth.key])
    peer = (
        f"{median(large.peer[growth.key]) / median(small.peer[growth.key]):.2f} x" if large.peer and small.peer else ""
    )
    return Row(
        title=growth.title,
        ours=f"{ours:.2f} x",
        peer=peer,
        target=f"≤ {growth.target:g} x",
        is_met=ours <= growth.target,
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as an aligned Markdown table."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    rendered = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    rendered.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rendered)


def _compare(figure: Figure, ours: Sequence[float], peer: Sequence[float]) -> Row:
    ratio = _times_better(figure, median(ours), median(peer)) if peer else None
    conditions = []
    wanted = []
    if figure.target is not None:
        conditions.append(median(ours) >= figure.target if figure.more_is_better else median(ours) <= figure.target)
        wanted.append(f"{'≥' if figure.more_is_better else '≤'} {_number(figure.target)} {figure.unit}".rstrip())
    if figure.target_ratio is not None:
        wanted.append(f"≥ {figure.target_ratio:g} times better")
        if ratio is not None:
            conditions.append(ratio >= figure.target_ratio)
    return Row(
        title=figure.title,
        ours=_spread(ours, figure.unit),
        peer=_spread(peer, figure.unit) if peer else "",
        times_better=""
        if ratio is None
        else f"{_number(ratio)} times better"
        if ratio >= 1
        else f"{_number(1 / ratio)} times worse",
        target=", ".join(wanted),
        is_met=all(conditions) if conditions else None,
    )


def _times_better(figure: Figure, ours: float, peer: float) -> float:
    return ours / peer if figure.more_is_better else peer / ours


def _spread(values: Sequence[float], unit: str) -> str:
    middle = _number(median(values))
    spread = f" ({_number(min(values))}..{_number(max(values))})" if len(values) > 1 else ""
    return f"{middle}{spread} {unit}".rstrip()


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
