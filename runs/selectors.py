"""Reading runs. Every queryset starts from an organization; states are folded from the journal."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db.models import QuerySet

from accounts.models import Organization
from graphs.plans import plan_of
from runs.engine import preview
from runs.engine.events import JsonObject
from runs.log import log_lines
from runs.models import Event, Run, Snapshot, Step
from runs.recovery import fold
from runs.store.writes import EventRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """A run's state after the event `seq`.

    While several branches run it is a preview for people, in which `conflicts` names the keys that concurrent
    branches replaced (rule R15); no decision uses it. At the end it is the final state.
    """

    seq: int
    values: JsonObject
    conflicts: tuple[str, ...]


def runs_of(organization: Organization) -> QuerySet[Run]:
    return Run.objects.filter(organization=organization).select_related("version__graph")


def current_state(run: Run) -> StateView:
    """The state after the newest event."""
    return state_at(run, Event.objects.filter(run=run).order_by("-seq").values_list("seq", flat=True).first() or 0)


def state_at(run: Run, seq: int) -> StateView:
    """The state after the event `seq`: the newest snapshot before it plus the updates since."""
    snapshot = Snapshot.objects.filter(run=run, seq__lte=seq).order_by("-seq").first()
    rows = Event.objects.filter(run=run, seq__lte=seq, seq__gt=snapshot.seq if snapshot else 0).order_by("seq")
    plan = plan_of(run.version)
    state = fold(
        plan,
        (EventRow(*row) for row in rows.values_list("seq", "type", "v", "at", "data").iterator()),
        snapshot=snapshot.state if snapshot else None,
    )
    shown = preview(plan, state)
    return StateView(seq=seq, values=shown.values, conflicts=shown.conflicts)


def events_after(run: Run, *, after: int = 0, limit: int = 500) -> list[Event]:
    """Up to `limit` journal entries after `after`, in order."""
    return list(Event.objects.filter(run=run, seq__gt=after).order_by("seq")[:limit])


def steps_of(run: Run) -> QuerySet[Step]:
    return Step.objects.filter(run=run).order_by("scheduled_seq", "id")


def execution_log(run: Run, *, upto: int | None = None) -> list[str]:
    """The lines of the first release's log: a node started, completed, failed. `upto` is the last seq that counts."""
    rows = Event.objects.filter(run=run) if upto is None else Event.objects.filter(run=run, seq__lte=upto)
    entries = rows.order_by("seq").values_list("type", "data").iterator()
    return [line for type_, data in entries for line in log_lines(type_, json.loads(data))]
