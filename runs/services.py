"""Changing runs: starting and cancelling. Each function is one mutation; who started a run is on its row."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.plans import plan_of, spec_of
from runs import bell, dispatch
from runs.driver.heads import final_head
from runs.engine import advance
from runs.engine.events import RunStarted
from runs.errors import IdempotencyConflict, InitialStateInvalid, RunFinished
from runs.models import Run
from runs.projection import Projection
from runs.schema import state_schema
from runs.store.creation import insert_run
from runs.store.mail import post
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json


def start_run(
    *,
    version: GraphVersion,
    state: Json,
    actor: Actor,
    trigger: str = "api",
    business_key: str = "",
    idempotency_key: str | None = None,
    labels: dict[str, str] | None = None,
    durability: str | None = None,
    priority: int = 0,
) -> Run:
    """Start a run of a published version with `state` laid over the graph's defaults.

    With an `idempotency_key` that was used before in the organization, return the run that it started; raise
    IdempotencyConflict if that was another request. Raises VersionNotPublished for a draft, and InitialStateInvalid.
    """
    text, state = _checked_input(version, state)
    if idempotency_key is not None and (earlier := _started_before(actor, idempotency_key, version, text)):
        return earlier
    spec = spec_of(version)
    now = timezone.now()
    run = Run(
        organization=actor.organization,
        version=version,
        input=text,
        business_key=business_key,
        idempotency_key=idempotency_key,
        labels=labels or {},
        trigger=trigger,
        created_by=actor.user,
        actor=actor.name,
        durability=durability or spec.durability,
        priority=priority,
        created_at=now,
        wake_at=now,
    )
    transition = advance(plan_of(version), None, RunStarted(state={**spec.state.defaults, **state}))
    recorded = Projection().record(transition.events, transition.decisions, after_seq=0, at=now)
    if transition.state.status != "running":  # a join that nothing can satisfy, say
        end = final_head(transition.state.status, transition.events, at=now)
        run.status, run.error, run.finished_at, run.wake_at = end.status, end.error, end.finished_at, None
    try:
        insert_run(run, events=recorded.events, steps=recorded.steps)
    except IntegrityError:  # the same key at the same moment
        if idempotency_key is not None and (earlier := _started_before(actor, idempotency_key, version, text)):
            return earlier
        raise
    transaction.on_commit(_wake_drivers)
    return run


def cancel_run(*, run: Run, actor: Actor, reason: str = "") -> None:
    """Ask the run's driver to cancel it; it does within moments. Raises RunFinished if it is over already."""
    run.refresh_from_db(fields=["status"])
    if run.is_terminal:
        raise RunFinished(run.uuid, run.status)
    with transaction.atomic():
        post(run, kind="cancel", payload={"reason": reason}, actor=actor)
        audit.record(actor=actor, action="run.cancelled", obj=run, data={"reason": reason})
    transaction.on_commit(_wake_drivers)


def _wake_drivers() -> None:
    bell.ring_drivers()
    dispatch.ensure_driver()


def _checked_input(version: GraphVersion, state: Json) -> tuple[str, Json]:
    limits = settings.WORKFLOW
    text, state = strict_json.encode(state, max_bytes=limits.max_state_bytes, max_depth=limits.max_json_depth)
    if not isinstance(state, dict):
        raise InitialStateInvalid([Detail(path="", code="wrong-type", message="The state must be a JSON object.")])
    spec = spec_of(version)
    schema = state_schema(spec.state.schema)
    if schema and (details := schema.check_input({**spec.state.defaults, **state})):
        raise InitialStateInvalid(details)
    return text, state


def _started_before(actor: Actor, key: str, version: GraphVersion, text: str) -> Run | None:
    run = Run.objects.filter(organization=actor.organization, idempotency_key=key).first()
    if run is not None and (run.version_id != version.pk or run.input != text):
        raise IdempotencyConflict(key)
    return run
