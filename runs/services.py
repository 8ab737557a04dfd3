"""Starting, repeating and deleting runs; `runs.control` changes those that go on. Who started a run is on its row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from accounts.keys import seal
from graphs.models import GraphVersion
from graphs.plans import nodes_within, plan_of, spec_of
from runs import bell, dispatch
from runs.admission import OnConflict, let_in, place
from runs.breakpoints import check_breakpoints, complete_breakpoints
from runs.driver.heads import final_head
from runs.engine import advance
from runs.engine.events import JsonObject, RunStarted
from runs.errors import InitialStateInvalid, NoWebhook, RunNotFinished
from runs.models import Run, Webhook
from runs.projection import Projection, Recorded
from runs.repeats import RequestKey, note, run_of
from runs.schema import state_schema
from runs.store.creation import insert_run
from runs.store.deletion import delete_rows, hide
from runs.store.mail import post
from runs.webhooks.delivering import sender
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json

DELETION_PATIENCE_S = 2.0
"""A run of 100,000 steps takes half a minute to delete, for which no request should wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """Where a run's end is told; without a secret the organization's key signs."""

    url: str
    secret: str = ""


def start_run(
    *,
    version: GraphVersion,
    state: Json,
    actor: Actor,
    trigger: str = "api",
    business_key: str = "",
    request_key: RequestKey | None = None,
    labels: dict[str, str] | None = None,
    durability: str | None = None,
    priority: int = 0,
    on_conflict: OnConflict = "allow",
    webhook: NewWebhook | None = None,
    breakpoints: Sequence[Mapping[str, Json]] = (),
) -> Run:
    """Start a run of a published version with `state` laid over the graph's defaults; `webhook` is told of its end.

    `breakpoints`, as `control.set_breakpoints` takes them, hold it from its first step on.

    With a `request_key` that was used before in the organization, return the run that it started; raise
    IdempotencyConflict if that was another request. `on_conflict` says what to do about another run of the graph with
    the same business key. Raises VersionNotPublished for a draft, InitialStateInvalid, RunConflict, BusinessKeyMissing,
    WebhookUrlRefused, and ControlInvalid for breakpoints.
    """
    if earlier := run_of(actor.organization, request_key):
        return earlier
    if webhook is not None:
        sender().check(webhook.url)
    text, state = _checked_input(version, state)
    if breakpoints:
        check_breakpoints(nodes_within(version), breakpoints)
    now = timezone.now()
    run = Run(
        organization=actor.organization,
        version=version,
        input=text,
        business_key=business_key,
        labels=labels or {},
        trigger=trigger,
        created_by=actor.user,
        actor=actor.name,
        durability=durability or spec_of(version).durability,
        priority=priority,
        created_at=now,
        wake_at=now,
    )
    note(run, request_key)
    recorded = _begin(run, state)
    try:
        with transaction.atomic():
            _insert(run, recorded, on_conflict=on_conflict, actor=actor)
            if webhook is not None:
                _add_webhook(run, webhook)
            if breakpoints:
                payload: dict[str, Json] = {"breakpoints": complete_breakpoints(breakpoints)}
                post(run, kind="breakpoints", payload=payload, actor=actor)
    except IntegrityError:  # the same key at the same moment
        if earlier := run_of(actor.organization, request_key):
            return earlier
        raise
    transaction.on_commit(wake_drivers)
    return run


def _begin(run: Run, state: JsonObject) -> Recorded:
    """What the first event of the run writes. The run may be over with it, as its row says then."""
    started = RunStarted(
        state={**spec_of(run.version).state.defaults, **state},
        max_state_bytes=settings.WORKFLOW.max_state_bytes,
        checks_schema=True,
        matches_inside=True,
    )
    transition = advance(plan_of(run.version), None, started)
    if transition.state.status != "running":  # a join that nothing can satisfy, say
        end = final_head(transition.state.status, transition.events, at=run.created_at)
        run.status, run.error = transition.state.status, end.error
        run.finished_at, run.wake_at = end.finished_at, None
    return Projection().record(transition.events, transition.decisions, after_seq=0, at=run.created_at)


def _insert(run: Run, recorded: Recorded, *, on_conflict: OnConflict, actor: Actor) -> None:
    """Insert the run, or queue it up. Call it in a transaction."""
    is_queued = place(run, on_conflict=on_conflict, actor=actor) and not run.is_terminal
    if is_queued:
        run.queued, run.wake_at = True, None
    insert_run(run, events=recorded.events, steps=recorded.steps)
    if is_queued and let_in(run.organization_id):
        run.refresh_from_db(fields=["queued", "wake_at"])


def delete_run(*, run: Run, actor: Actor) -> None:
    """Delete a run that is over, with all that belongs to it. Raises RunNotFinished.

    It is out of sight at once. Its rows go in many short transactions, so this must not be called inside one; those
    that are left after `DELETION_PATIENCE_S` are deleted by a cluster.
    """
    with transaction.atomic():
        if not hide(run):
            status = Run.objects.filter(pk=run.pk, deleted_at=None).values_list("status", flat=True).first()
            if status is None:  # somebody else deletes it
                return
            # A failed one that a driver has taken up again is about to be running.
            shown = Run.Status.RUNNING if status in Run.TERMINAL else status
            raise RunNotFinished(run.uuid, shown, "cancel it first, or wait for its end")
        data = {"graph": str(run.version.graph.uuid), "version": run.version.number, "status": run.status}
        audit.record(actor=actor, action="run.deleted", obj=run, data=data)
    delete_rows(run, within_s=DELETION_PATIENCE_S)


def rerun(*, run: Run, version: GraphVersion, actor: Actor) -> Run:
    """Start another run of `version` with the initial state and the options of `run`, but without its webhook.

    Raises what `start_run` does: the state may not fit another version.
    """
    with transaction.atomic():
        again = start_run(
            version=version,
            state=json.loads(run.input),
            actor=actor,
            trigger="rerun",
            business_key=run.business_key,
            labels=run.labels,
            durability=run.durability,
            priority=run.priority,
        )
        audit.record(actor=actor, action="run.rerun", obj=run, data={"run": str(again.uuid)})
    return again


def redeliver_webhook(*, run: Run, actor: Actor) -> None:
    """Tell a run's end again, with as many tries as at first. Raises NoWebhook and RunNotFinished."""
    webhooks = Webhook.objects.filter(run=run)
    if not webhooks.exists():
        raise NoWebhook(run.uuid)
    run.refresh_from_db(fields=["status"])
    if not run.is_terminal:
        raise RunNotFinished(run.uuid, run.status, "its webhook is told of its end")
    with transaction.atomic():
        webhooks.update(status=Webhook.Status.PENDING, attempts=0, next_at=timezone.now(), last_error="")
        audit.record(actor=actor, action="run.webhook_redelivered", obj=run)


def _add_webhook(run: Run, webhook: NewWebhook) -> None:
    secret = seal(webhook.secret) if webhook.secret else ""
    Webhook.objects.create(run=run, url=webhook.url, secret=secret, next_at=run.created_at)


def wake_drivers() -> None:
    """Tell the drivers that there is something to do, and see to it that there is one."""
    bell.ring_drivers()
    dispatch.ensure_driver()


def _checked_input(version: GraphVersion, state: Json) -> tuple[str, JsonObject]:
    limits = settings.WORKFLOW
    text, state = strict_json.encode(state, max_bytes=limits.max_state_bytes, max_depth=limits.max_json_depth)
    if not isinstance(state, dict):
        raise InitialStateInvalid([Detail(path="", code="wrong-type", message="The state must be a JSON object.")])
    spec = spec_of(version)
    schema = state_schema(spec.state.schema)
    if schema and (details := schema.check_input({**spec.state.defaults, **state})):
        raise InitialStateInvalid(details)
    return text, state
