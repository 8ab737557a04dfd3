"""Forking runs: a new run that begins where another one was. The other one never moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.plans import plan_of, plan_of_digest
from graphs.subgraphs import find_version
from runs.driver import people
from runs.driver.heads import final_head
from runs.edits import check_edit
from runs.engine import RunState, Transition, advance, fork, in_flight, learn_plan, obstacle_to_fork, preview
from runs.engine.decisions import Decision, StartStep
from runs.engine.events import Outcome, RunMigrated, RunPaused, RunReopened, RunResumed, StateEdited, StepRescheduled
from runs.engine.people import is_task
from runs.errors import ForkRefused
from runs.log import data_of
from runs.migrating import refuse_if_unsafe, version_name
from runs.models import Event, Run
from runs.projection import Projection, Provenance
from runs.questions import question_of
from runs.repeats import RequestKey, note, run_of
from runs.services import wake_drivers
from runs.standing import state_to_change
from runs.store import Head
from runs.store.creation import insert_run, insert_tasks
from runs.store.writes import EventRow, StepRow, TaskRow
from tools import strict_json


def fork_run(
    *,
    run: Run,
    at_seq: int,
    actor: Actor,
    values: Mapping[str, Any] | None = None,
    delete: Sequence[str] = (),
    version: GraphVersion | None = None,
    mapping: Mapping[str, str] | None = None,
    labels: dict[str, str] | None = None,
    paused: bool | None = None,
    request_key: RequestKey | None = None,
) -> Run:
    """A new run with the state that `run` had after the event `at_seq`, which must be one of its events.

    `values` and `delete` edit that state; `version` is another version to go on with, as by a migration, for which
    `mapping` names nodes anew. What was in flight then runs in the fork, and what had failed is tried again. `paused`
    holds all that, or lets it go; None leaves it as it was in `run`. With a `request_key` that made a fork
    before, return that.

    Raises ForkRefused where no run can begin, ControlInvalid for an edit that is not possible,
    ControlConflict where the journal or the definition cannot be read, MigrationRefused, VersionNotPublished,
    IdempotencyConflict and JsonInvalid.
    """
    if earlier := run_of(run.organization, request_key):
        return earlier
    now = timezone.now()
    edit = StateEdited(values=_plain(values or {}), delete=tuple(delete))
    begun_with = _version_at(run, at_seq)
    beginning, tasks = _beginning_in(state_to_change(run, at_seq), run, at_seq, begun_with, now)
    if version is not None:
        beginning.migrate(version, dict(mapping or {}))
    if edit.values or edit.delete:
        beginning.edit(edit)
    if not beginning.try_again():
        raise ForkRefused(run.uuid, at_seq, "its branches have replaced the same keys, which must be edited first")
    if paused is not None:
        beginning.pause() if paused else beginning.feed(RunResumed())
    new = _row(run, at_seq, begun_with=begun_with, migrated_to=version, actor=actor, at=now)
    note(new, request_key)
    if labels is not None:
        new.labels = labels
    _show(new, beginning, at=now)
    events, steps = beginning.rows(at=now, actor=actor)
    try:
        with transaction.atomic():
            insert_run(new, events=events, steps=steps)
            insert_tasks(new, tasks, at=now)
            data = {"run": str(run.uuid), "seq": at_seq, "keys": sorted([*edit.values, *edit.delete])}
            audit.record(actor=actor, action="run.forked", obj=new, data=data)
    except IntegrityError:  # the same key at the same moment
        if earlier := run_of(run.organization, request_key):
            return earlier
        raise
    transaction.on_commit(wake_drivers)
    return new


def _row(
    run: Run, at_seq: int, *, begun_with: GraphVersion, migrated_to: GraphVersion | None, actor: Actor, at: datetime
) -> Run:
    """The row of the fork, which is like that of `run`."""
    return Run(
        organization=run.organization,
        version=migrated_to or begun_with,
        begun_with=begun_with if migrated_to else None,
        former_versions=_former_versions(run),
        forked_from=run,
        fork_seq=at_seq,
        input=run.input,
        business_key=run.business_key,
        labels=run.labels,
        trigger="fork",
        created_by=actor.user,
        actor=actor.name,
        durability=run.durability,
        priority=run.priority,
        created_at=at,
        wake_at=at,
    )


def _show(new: Run, beginning: _Beginning, *, at: datetime) -> None:
    """Let the row say how the fork begins: it may be paused, or over at once."""
    if beginning.state.is_paused:
        new.status = Run.Status.PAUSED
    if (end := beginning.end(at=at)) is not None:
        new.status, new.error, new.finished_at, new.wake_at = end.status or "", end.error, at, None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As values that nobody else holds."""
    limits = settings.WORKFLOW
    _, plain = strict_json.encode(dict(values), max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
    return plain


def _beginning_in(
    state: RunState, run: Run, seq: int, version: GraphVersion, now: datetime
) -> tuple[_Beginning, list[TaskRow]]:
    """The first event of the fork, and what people are asked in it; `state` is used up."""
    if why := obstacle_to_fork(state):
        raise ForkRefused(run.uuid, seq, why)
    event = Event.objects.filter(run=run, seq=seq).first()
    if event is None:
        raise ForkRefused(run.uuid, seq, "the journal has no such event")
    tasks = _asked_anew(state)
    called_again = list(_answered(state))
    first = fork(state, run=str(run.uuid), seq=seq, delay=now - event.at)
    beginning = _Beginning(advance(plan_of(version), None, first, plan_of_digest))
    for outcome in called_again:
        beginning.feed(outcome)
    return beginning, tasks


def _asked_anew(state: RunState) -> list[TaskRow]:
    """The questions of the steps that wait for people, each as a task of its own."""
    tasks = []
    for branch in state.branches.values():
        progress = branch.progress
        if progress is None or progress.wait is None or not is_task(progress.wait):
            continue
        if progress.has_answer:
            continue
        progress.wait = {**progress.wait, "task": uuid4().hex}
        node = branch.node_plan
        if (question := question_of(node.spec, progress.wait)) is not None:
            tasks.append(people.task_row(branch.id, node.name, question, progress.wait))
    return tasks


def _answered(state: RunState) -> Iterator[StepRescheduled]:
    """What follows the event where that recorded an answer: the tool that asked is called again."""
    for branch in state.branches.values():
        if branch.progress is not None and branch.progress.has_answer:
            yield StepRescheduled(step=branch.id, attempt=branch.attempt + 1, reason="its question was answered")


class _Beginning:
    """The first events of a fork."""

    def __init__(self, first: Transition) -> None:
        self.state: RunState = first.state
        self._transitions = [first]

    def feed(self, outcome: Outcome) -> bool:
        """Whether it had an effect."""
        transition = advance(self.state.root.graph, self.state, outcome)
        if transition.events:
            self._transitions.append(transition)
        return bool(transition.events)

    def migrate(self, version: GraphVersion, mapping: dict[str, str]) -> None:
        learn_plan(self.state, version.sha256, None, lambda digest, _: plan_of(version))
        refuse_if_unsafe(self.state, version, mapping)
        self.feed(RunMigrated(version=version_name(version), digest=version.sha256, mapping=mapping))

    def edit(self, edit: StateEdited) -> None:
        """Raises ControlInvalid for what the graph's schema refuses."""
        check_edit(self.state, self.state.root.graph, preview(self.state).values, edit.values, edit.delete)
        self.feed(edit)

    def try_again(self) -> bool:
        """Open again what has failed. Whether there is nothing left that failed the whole run."""
        return self.state.status != "failed" or self.feed(RunReopened())

    def end(self, *, at: datetime) -> Head | None:
        """The head of a fork that is over at once: an edit was all that was missing, or was not enough."""
        last = self._transitions[-1].events
        return None if self.state.status == "running" else final_head(self.state.status, last, at=at)

    def pause(self) -> None:
        """Hold everything: nothing was called yet."""
        self.feed(RunPaused(held=tuple(start.step for start in _starts(in_flight(self.state)))))

    def rows(self, *, at: datetime, actor: Actor) -> tuple[list[EventRow], list[StepRow]]:
        projection = Projection()
        events: list[EventRow] = []
        steps: dict[bytes, StepRow] = {}
        for transition in self._transitions:
            recorded = projection.record(
                transition.events,
                transition.decisions,
                after_seq=len(events),
                at=at,
                provenance=Provenance(actor=actor.name),
            )
            events += recorded.events
            steps |= {row.step: row for row in recorded.steps}
        return events, list(steps.values())


def _former_versions(run: Run) -> str:
    """Those of the run that is forked, its present one included: the fork may have values from their time."""
    return f"{run.former_versions}{run.version_id} "


def _starts(decisions: Sequence[Decision]) -> list[StartStep]:
    return [decision for decision in decisions if isinstance(decision, StartStep)]


def _version_at(run: Run, seq: int) -> GraphVersion:
    """The version that the run had after the event `seq`."""
    if run.begun_with is None:
        return run.version
    migrations = Event.objects.filter(run=run, type=RunMigrated.__name__, seq__lte=seq)
    last = migrations.order_by("-seq").values_list("data", flat=True).first()
    return run.begun_with if last is None else find_version(run.organization_id, data_of(last)["version"])
