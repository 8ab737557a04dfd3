"""What the page of a run shows first: everything as of one `seq`, from which the live stream goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Case, Count, F, Max, Q, Value, When

from graphs.plans import plan_of
from runs.log import render
from runs.models import Event, Run, Step
from runs.selectors import StateView, state_at, steps_of
from tools import strict_json

MAX_STEPS = 500
MAX_OPEN_STEPS = 2_000
MAX_EVENTS = 500
MAX_STATE_BYTES = 256 * 1024

_SHOWN_DATA = frozenset({"scheduled", "path", "attempt", "route", "error", "level"})
_ITEM_OVER = {"ItemCollected": "done", "ItemFailed": "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTurns:
    """How many turns of a node are in one status, and the newest event that brought one there."""

    node: str
    status: str
    count: int
    latest_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItems:
    """The items of all maps that a node has opened."""

    node: str
    total: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTurn:
    """One step, times as ISO 8601."""

    step: str
    node: str
    path: str
    status: str
    attempt: int
    started_at: str
    finished_at: str | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOverview:
    """A run as of `seq`: all turns counted, the newest steps and events, and the state unless it is very large.

    `steps` has all that were not over yet.
    """

    seq: int
    nodes: list[NodeTurns]
    maps: list[MapItems]
    steps: list[StepTurn]
    events: list[dict[str, Any]]
    state: StateView | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def overview_of(run: Run) -> RunOverview:
    """Read a run while it may be going on: nothing that happened after `run.seq` is in the answer."""
    seq = run.seq
    newest = Event.objects.filter(run=run, seq__lte=seq).order_by("-seq")[:MAX_EVENTS]
    return RunOverview(
        seq=seq,
        nodes=_turns(run, seq),
        maps=_map_items(run, seq),
        steps=_shown_steps(run, seq),
        events=[_shortened(event) for event in reversed(newest)],
        state=_state(run, seq),
    )


def _turns(run: Run, seq: int) -> list[NodeTurns]:
    over = Q(finished_seq__lte=seq)
    rows = (
        steps_of(run)
        .filter(scheduled_seq__lte=seq)
        .order_by()
        .annotate(status_then=Case(When(over, then=F("status")), default=Value(Step.Status.RUNNING.value)))
        .values_list("node", "status_then")
        .annotate(count=Count("pk"), latest=Max("finished_seq", filter=over))
    )
    return [NodeTurns(node=node, status=status, count=n, latest_seq=latest or 0) for node, status, n, latest in rows]


def _shown_steps(run: Run, seq: int) -> list[StepTurn]:
    """The newest steps, and older ones that were not over yet: the live stream will tell of their end."""
    known = steps_of(run).filter(scheduled_seq__lte=seq)
    newest = known.order_by("-scheduled_seq", "-id")[:MAX_STEPS]
    open_ones = known.exclude(finished_seq__lte=seq)[:MAX_OPEN_STEPS]
    rows = {row.pk: row for row in [*newest, *open_ones]}
    return [_turn(row, seq) for row in sorted(rows.values(), key=lambda row: (row.scheduled_seq, row.pk))]


def _turn(row: Step, seq: int) -> StepTurn:
    is_over = row.finished_seq is not None and row.finished_seq <= seq
    return StepTurn(
        step=row.key,
        node=row.node,
        path=row.path,
        status=row.status if is_over else Step.Status.RUNNING,
        attempt=row.attempt,
        started_at=((is_over and row.started_at) or row.scheduled_at).isoformat(),
        finished_at=row.finished_at.isoformat() if is_over and row.finished_at else None,
        error=_error(row.error) if is_over else "",
    )


def _error(text: str) -> str:
    return "{type}: {message}".format_map(json.loads(text)) if text else ""


def _map_items(run: Run, seq: int) -> list[MapItems]:
    """Counted from the journal: steps say nothing of items."""
    maps = [node.name for node in plan_of(run.version).nodes if node.map is not None]
    if not maps:
        return []
    nodes = {bytes(step).hex(): node for step, node in steps_of(run).filter(node__in=maps).values_list("step", "node")}
    counts: dict[str, Counter[str]] = {node: Counter() for node in maps}
    for type_, data in _map_events(run, seq):
        node = nodes.get(data["step"])
        if node is None:
            continue
        if type_ in _ITEM_OVER:
            counts[node][_ITEM_OVER[type_]] += 1
        else:
            counts[node]["total"] += len(data.get("items") or ())
    return [
        MapItems(node=node, total=count["total"], done=count["done"], failed=count["failed"])
        for node, count in counts.items()
        if count["total"]
    ]


def _map_events(run: Run, seq: int) -> Iterator[tuple[str, dict[str, Any]]]:
    opened = Q(type="StepCompleted", data__contains='"items":[')
    rows = Event.objects.filter(opened | Q(type__in=_ITEM_OVER), run=run, seq__lte=seq).order_by("seq")
    for type_, data in rows.values_list("type", "data").iterator():
        yield type_, json.loads(data)


def _shortened(event: Event) -> dict[str, Any]:
    """The message of the live stream, without the values, which may be large."""
    message = render(event)
    message["data"] = {key: value for key, value in message["data"].items() if key in _SHOWN_DATA}
    return message


def _state(run: Run, seq: int) -> StateView | None:
    state = state_at(run, seq)
    return state if len(strict_json.dumps(state.values)) <= MAX_STATE_BYTES else None
