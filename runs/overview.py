"""What the page of a run shows first: everything as of one `seq`, from which the live stream goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Case, Count, F, Max, Q, QuerySet, Value, When

from graphs.errors import GraphsError
from graphs.outline import OutlineNode, outline_of
from graphs.plan import NodePlan
from graphs.plans import plan_of, spec_of
from runs.engine import Standing, codec, standings
from runs.engine.scopes import OpenMap
from runs.log import data_of, render
from runs.models import Event, Run, Step
from runs.places import Places
from runs.redaction import Redaction, redaction_of
from runs.selectors import StateView, readable_state, secret_keys_of, state_view, steps_of
from tools import strict_json

MAX_STEPS = 500
MAX_OPEN_STEPS = 2_000
MAX_EVENTS = 500
MAX_STATE_BYTES = 256 * 1024

_SHOWN_DATA = frozenset(
    {
        *("scheduled", "path", "attempt", "took_ms", "route", "error", "level", "retry_at"),
        *("undoing", "held", "stops", "graceful", "reason", "graph", "digest"),
    }
)
_ITEM_OVER = {"ItemCollected": "done", "ItemFailed": "failed"}
_UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTurns:
    """How many turns of a node are in one status, and the newest event that brought one there.

    Beyond those of rows a status is what the engine says of an open step, `undone` of one that undid another, or
    `ahead` of one that a pause holds before it was ever given out.
    """

    address: str
    status: str
    count: int
    latest_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItems:
    """The items of all maps that a node has opened."""

    address: str
    total: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """What is drawn at one place: the newest graph that began there, and the paths of all."""

    place: str
    graph: str
    digest: str
    paths: list[str]


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
    wait: Any
    """What it waits for, as the engine puts it, unless it may hold a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOverview:
    """A run as of `seq`: all turns counted, the newest steps and events, and the state unless it is very large.

    `steps` has all that were not over yet.
    """

    seq: int
    is_paused: bool
    is_undoing: bool
    nodes: list[NodeTurns]
    maps: list[MapItems]
    subgraphs: list[Subgraph]
    steps: list[StepTurn]
    events: list[dict[str, Any]]
    state: StateView | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def overview_of(run: Run) -> RunOverview:
    """Read a run while it may be going on: nothing that happened after `run.seq` is in the answer."""
    return _Moment(run).overview()


def untold_items(run: Run) -> list[MapItems]:
    """The items of the nodes whose open maps collect nothing: no event tells that one of those is over."""
    return _Moment(run).untold_items()


def outline_of_run(run: Run) -> list[OutlineNode]:
    """The run's graph in words; empty if its definition can no longer be read, which parks the run."""
    try:
        return outline_of(spec_of(run.version))
    except GraphsError:
        return []


class _Moment:
    """A run as of the event that is its newest when it is read."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seq = run.seq
        self._redaction = redaction_of(run)
        self._places = Places()
        self._undoing_since: int | None = None
        self._subgraphs = {subgraph.place: subgraph for subgraph in self._begun()}
        self._state_seq, self._state = readable_state(run, run.seq)
        self._standings = {} if self._state is None else {each.step: each for each in standings(self._state)}

    def overview(self) -> RunOverview:
        newest = Event.objects.filter(run=self._run, seq__lte=self._seq).order_by("-seq")[:MAX_EVENTS]
        state = state_view(self._run, self._state_seq, self._state)
        return RunOverview(
            seq=self._seq,
            is_paused=self._state is not None and self._state.is_paused,
            is_undoing=self._undoing_since is not None,
            nodes=self._turns(),
            maps=self._map_items(),
            subgraphs=list(self._subgraphs.values()),
            steps=[self._turn(row) for row in self._shown_steps()],
            events=[_shortened(event, self._redaction) for event in reversed(newest)],
            state=state if len(strict_json.dumps(state.values)) <= MAX_STATE_BYTES else None,
        )

    def _begun(self) -> Iterator[Subgraph]:
        """The subgraphs, each as often as one began at its place; the last tells of all."""
        if not _some_node(self._run, lambda node: node.graph is not None or node.compensation is not None):
            return
        paths: dict[str, dict[str, None]] = {}
        turning = Event.objects.filter(
            run=self._run, seq__lte=self._seq, type__in=("ChildStarted", "CompensationStarted")
        )
        for seq, type_, text in turning.order_by("seq").values_list("seq", "type", "data").iterator():
            data = data_of(text)
            if type_ == "CompensationStarted":
                self._undoing_since = seq
            elif "node" in data:
                path, node = data.get("path", ""), data["node"]
                place = self._places.open(path, node)
                known = paths.setdefault(place, {})
                known[f"{path}.{node}" if path else node] = None
                yield Subgraph(place=place, graph=data["graph"], digest=data["digest"], paths=list(known))

    def _turns(self) -> list[NodeTurns]:
        rows = self._counted("node", "path") if self._places else self._counted("node")
        counts: Counter[tuple[str, str]] = Counter()
        latest: dict[tuple[str, str], int] = {}
        for node, *path, status, count, newest in rows:
            turn = self._places.address("".join(path), node), status
            counts[turn] += count
            latest[turn] = max(latest.get(turn, 0), newest or 0)
        given_out = {bytes(step) for step in self._open_steps().values_list("step", flat=True)}
        for step, standing in self._standings.items():
            address = self._places.address(standing.path, standing.node)
            if step in given_out:
                counts[address, Step.Status.RUNNING] -= 1
                counts[address, self._doing(step)] += 1
            elif standing.doing == "held":
                counts[address, "ahead"] += 1
        return [
            NodeTurns(address=address, status=status, count=count, latest_seq=latest.get((address, status), 0))
            for (address, status), count in counts.items()
            if count
        ]

    def _counted(self, *fields: str) -> QuerySet[Step, tuple[Any, ...]]:
        over = Q(finished_seq__lte=self._seq)
        undone = Q(finished_seq__gt=self._undoing_since or self._seq, status=Step.Status.COMPLETED)
        running = Value(Step.Status.RUNNING.value)
        return (
            self._steps()
            .order_by()
            .annotate(
                status_then=Case(
                    When(over & undone, then=Value(_UNDONE)), When(over, then=F("status")), default=running
                )
            )
            .values_list(*fields, "status_then")
            .annotate(count=Count("pk"), latest=Max("finished_seq", filter=over))
        )

    def _steps(self) -> QuerySet[Step]:
        return steps_of(self._run).filter(scheduled_seq__lte=self._seq)

    def _open_steps(self) -> QuerySet[Step]:
        return self._steps().exclude(finished_seq__lte=self._seq)

    def _shown_steps(self) -> list[Step]:
        """The newest steps, and older ones that were not over yet: the live stream will tell of their end."""
        newest = self._steps().order_by("-scheduled_seq", "-id")[:MAX_STEPS]
        rows = {row.pk: row for row in [*newest, *self._open_steps()[:MAX_OPEN_STEPS]]}
        return sorted(rows.values(), key=lambda row: (row.scheduled_seq, row.pk))

    def _turn(self, row: Step) -> StepTurn:
        is_over = row.finished_seq is not None and row.finished_seq <= self._seq
        standing = None if is_over else self._standings.get(bytes(row.step))
        return StepTurn(
            step=row.key,
            node=row.node,
            path=row.path,
            status=self._outcome(row) if is_over else self._doing(bytes(row.step)),
            attempt=row.attempt,
            started_at=((is_over and row.started_at) or row.scheduled_at).isoformat(),
            finished_at=row.finished_at.isoformat() if is_over and row.finished_at else None,
            error=_error(row.error) if is_over else "",
            wait=None if standing is None or standing.wait is None else self._shown_wait(standing),
        )

    def _shown_wait(self, standing: Standing) -> Any:
        """As in a journal entry of the step."""
        hidden = () if self._state is None else secret_keys_of(self._state, standing.step)
        return self._redaction.entry({"wait": standing.wait, "hidden": hidden})["wait"]

    def _doing(self, step: bytes) -> str:
        standing = self._standings.get(step)
        return Step.Status.RUNNING if standing is None else standing.doing

    def _outcome(self, row: Step) -> str:
        undoes = self._undoing_since is not None and (row.finished_seq or 0) > self._undoing_since
        return _UNDONE if undoes and row.status == Step.Status.COMPLETED else row.status

    def _map_items(self) -> list[MapItems]:
        """Counted from the journal: steps say nothing of items."""
        if not (self._places or _some_node(self._run, lambda node: node.map is not None)):
            return []
        counts: dict[str, Counter[str]] = {}
        for type_, data in self._map_events():
            if "node" in data:
                count = counts.setdefault(self._places.address(data.get("path", ""), data["node"]), Counter())
                count[_ITEM_OVER.get(type_, "total")] += 1 if type_ in _ITEM_OVER else len(data.get("items") or ())
        for address, opened in self._open_untold():
            count = counts.setdefault(address, Counter())
            count["done"] += len(opened.items) - opened.pending - opened.failed
            count["failed"] += opened.failed
        return [
            MapItems(address=address, total=count["total"], done=count["done"], failed=count["failed"])
            for address, count in counts.items()
            if count["total"]
        ]

    def untold_items(self) -> list[MapItems]:
        """Of the nodes with open maps that collect nothing."""
        addresses = {address for address, _ in self._open_untold()}
        return [items for items in self._map_items() if items.address in addresses] if addresses else []

    def _open_untold(self) -> Iterator[tuple[str, OpenMap]]:
        for branch in () if self._state is None else self._state.branches.values():
            if branch.map is not None and not branch.map.plan.collect:
                yield self._places.address(branch.scope.path, branch.node_plan.name), branch.map

    def _map_events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        opened = Q(type="StepCompleted", data__contains='"items":[')
        rows = Event.objects.filter(opened | Q(type__in=_ITEM_OVER), run=self._run, seq__lte=self._seq).order_by("seq")
        for type_, data in rows.values_list("type", "data").iterator():
            yield type_, data_of(data)


def _some_node(run: Run, does: Callable[[NodePlan], bool]) -> bool:
    """Whether the journal needs to be searched for what only nodes of a kind bring about."""
    try:
        return any(map(does, plan_of(run.version).nodes))
    except GraphsError:  # that is why the run is parked
        return False


def _error(text: str) -> str:
    return codec.failure_from_data(json.loads(text)).in_words if text else ""


def _shortened(event: Event, redaction: Redaction) -> dict[str, Any]:
    """The message of the live stream, without the values, which may be large."""
    message = render(event, redaction)
    message["data"] = {key: value for key, value in message["data"].items() if key in _SHOWN_DATA}
    return message
