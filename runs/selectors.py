"""Reading runs. Every queryset starts from an organization; states are folded from the journal."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db.models import BooleanField, Case, ExpressionWrapper, OuterRef, Q, QuerySet, Subquery, Value, When

from accounts.models import Organization
from graphs.errors import GraphsError
from graphs.plans import plan_of, plan_of_digest
from runs.engine import RunState, in_flight, preview, preview_within
from runs.engine.decisions import StartStep
from runs.engine.events import JsonObject, StepId
from runs.engine.throttle import without_place
from runs.errors import JournalDamaged
from runs.log import data_of, log_lines
from runs.models import Event, Lock, LockWait, Run, Snapshot, Step, StepError
from runs.recovery import PARKED, fold
from runs.redaction import Redaction, redaction_of
from runs.store.writes import EventRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """A run's state after the event `seq`, for people: what the graph marks secret is redacted.

    While several branches run it is a preview for people, in which `conflicts` names the keys that concurrent
    branches replaced (rule R15); no decision uses it. At the end it is the final state.
    """

    seq: int
    values: JsonObject
    conflicts: tuple[str, ...]


def runs_of(organization: Organization) -> QuerySet[Run]:
    """The organization's runs, but for those that somebody has deleted."""
    runs = Run.objects.filter(organization=organization, deleted_at=None)
    runs = runs.select_related("version__graph", "webhook", "forked_from")
    return runs.defer("forked_from__input")  # as large as a state


def current_state(run: Run) -> StateView:
    """The state after the newest event."""
    return state_at(run, Event.objects.filter(run=run).order_by("-seq").values_list("seq", flat=True).first() or 0)


def state_at(run: Run, seq: int) -> StateView:
    """The state after the event `seq`, for people; see `readable_state`, whose exceptions it raises."""
    return state_view(run, *readable_state(run, seq))


def state_within(run: Run, step: str, seq: int) -> StateView | None:
    """The state of the subgraph that a step opened, after the event `seq`, or the last before the subgraph's end.

    None if the step had no subgraph then. Raises what `readable_state` does.
    """
    row = Step.objects.filter(run=run, step=bytes.fromhex(step)).first()
    if row is None:
        return None
    seq, state = readable_state(run, min(seq, (row.finished_seq or seq + 1) - 1))
    found = None if state is None else preview_within(state, bytes.fromhex(step))
    if found is None:
        return None
    shown, graph = found
    values = Redaction(graph.spec.state.schema).state(redaction_of(run).state(shown.values))
    return StateView(seq=seq, values=values, conflicts=shown.conflicts)


def state_view(run: Run, seq: int, state: RunState | None) -> StateView:
    """What people see of the engine's state after `seq`; of none, the run's input."""
    if state is None:
        return StateView(seq=seq, values=json.loads(run.input), conflicts=())
    shown = preview(state)
    return StateView(seq=seq, values=redaction_of(run).state(shown.values), conflicts=shown.conflicts)


def readable_state(run: Run, seq: int) -> tuple[int, RunState | None]:
    """The engine's state after the event `seq`: the newest snapshot before it plus the updates since.

    Of a run that was parked, because its journal or its definition cannot be read, the state after the last event that
    can be, and the seq of that; None and 0 if none can. Raises JournalDamaged and GraphsError for such a run that no
    driver has parked yet.
    """
    try:
        return seq, engine_state(run, seq)
    except (JournalDamaged, GraphsError) as error:
        if not Event.objects.filter(run=run, type=PARKED).exists():
            raise
        damaged_seq = error.seq if isinstance(error, JournalDamaged) else 0
    if damaged_seq > 1:
        return damaged_seq - 1, engine_state(run, damaged_seq - 1)
    return 0, None


def engine_state(run: Run, seq: int | None = None) -> RunState:
    """All that the engine knows of the run after the event `seq`, or after the newest one.

    Raises JournalDamaged and GraphsError.
    """
    if seq is None:
        seq = Run.objects.values_list("seq", flat=True).get(pk=run.pk)
    snapshot = Snapshot.objects.filter(run=run, seq__lte=seq).order_by("-seq").first()
    rows = Event.objects.filter(run=run, seq__lte=seq, seq__gt=snapshot.seq if snapshot else 0).order_by("seq")
    return fold(
        plan_of(run.begun_with or run.version),
        (EventRow(*row) for row in rows.values_list("seq", "type", "v", "at", "data").iterator()),
        snapshot=snapshot.state if snapshot else None,
        find_plan=plan_of_digest,
    )


def secret_keys_of(state: RunState, step: StepId) -> tuple[str, ...]:
    """The state keys that the schema of the graph marks secret which the step is in: that of the run, or a subgraph."""
    branch = state.branches.get(step)
    return () if branch is None else Redaction(branch.scope.graph.spec.state.schema).secret_keys


def events_after(run: Run, *, after: int = 0, limit: int = 500) -> list[Event]:
    """Up to `limit` journal entries after `after`, in order."""
    return list(Event.objects.filter(run=run, seq__gt=after).order_by("seq")[:limit])


def begun_graph(run: Run, digest: str) -> JsonObject | None:
    """What the journal says of a subgraph of this definition that the run has begun, or of a move to this version."""
    types = ("ChildStarted", "RunMigrated")
    begun = Event.objects.filter(run=run, type__in=types, data__contains=f'"digest":"{digest}"')
    data = begun.values_list("data", flat=True).first()
    return None if data is None else data_of(data)


def steps_of(run: Run) -> QuerySet[Step]:
    return Step.objects.filter(run=run).order_by("scheduled_seq", "id")


def marked_steps_of(run: Run) -> QuerySet[Step]:
    """The steps, each with `compensates`: whether it undid what its node had done.

    All those do that were not over when the run began to undo.
    """
    undoing = Event.objects.filter(run=run, type="CompensationStarted").values_list("seq", flat=True).first()
    is_late = Q(finished_seq__isnull=True) | Q(finished_seq__gt=undoing)
    compensates = Value(False) if undoing is None else Case(When(is_late, then=True), default=False)
    return steps_of(run).annotate(compensates=ExpressionWrapper(compensates, output_field=BooleanField()))


def step_errors_of(run: Run) -> QuerySet[StepError]:
    """What ended attempts of the run's steps, each with the `node` and the `path` of its step; the newest first."""
    step = Step.objects.filter(run=run, step=OuterRef("step"))
    errors = StepError.objects.filter(run=run).order_by("-pk")
    return errors.annotate(node=Subquery(step.values("node")[:1]), path=Subquery(step.values("path")[:1]))


def not_called(run: Run, what: str) -> list[str]:
    """The steps that waited for this (`place`, `executor`) in the run's worker at its last beat; at most so many."""
    told = {} if run.driver is None else run.driver.not_called.get(str(run.pk), {})
    return list(told.get(what, ()))


def queued_steps(run: Run) -> list[str]:
    """The steps that are given out and not called yet.

    For want of a place, by the limits that hold after `run.seq`; or of a thread or process, as the worker told last.
    """
    _, state = readable_state(run, run.seq)
    starts = () if state is None else (each for each in in_flight(state) if isinstance(each, StartStep))
    due = {start.step: start for start in starts if not start.not_before}
    if state is None or not due:
        return []
    rows = steps_of(run).filter(status=Step.Status.RUNNING).values_list("step", flat=True)
    in_order = [due[step] for step in map(bytes, rows) if step in due]
    queued = {*(step.hex() for step in without_place(state, in_order)), *not_called(run, "executor")}
    return [start.step.hex() for start in in_order if start.step.hex() in queued]


def lock_holder(organization: Organization, name: str) -> Lock | None:
    """Who holds the lock of this name, with its run; None if it is free."""
    return Lock.objects.filter(organization=organization, name=name).select_related("run").first()


def lock_queue(organization: Organization, name: str) -> QuerySet[LockWait]:
    """The steps that wait for the lock of this name, with their runs, the next first."""
    return LockWait.objects.filter(organization=organization, name=name).select_related("run").order_by("id")


def execution_log(run: Run, *, upto: int | None = None) -> list[str]:
    """The lines of the first release's log: a node started, completed, failed. `upto` is the last seq that counts."""
    rows = Event.objects.filter(run=run) if upto is None else Event.objects.filter(run=run, seq__lte=upto)
    entries = rows.order_by("seq").values_list("type", "data").iterator()
    return [line for type_, data in entries for line in log_lines(type_, data_of(data))]
