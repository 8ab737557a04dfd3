"""Sending signals: named messages that are kept until a step takes them, each once."""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from accounts.models import Organization
from runs.driver.letters import SIGNAL
from runs.errors import IdempotencyConflict, RunFinished, TooManySignals
from runs.models import Run, Signal
from runs.services import wake_drivers
from runs.store.mail import post
from tools import strict_json
from tools.strict_json import Json


def signals_of(organization: Organization) -> QuerySet[Signal]:
    """The signals that wait for a step to take them, the oldest first."""
    kept = Signal.objects.filter(organization=organization, consumed_at=None)
    return kept.select_related("run").order_by("id")


def signal_run(*, run: Run, name: str, payload: Json, actor: Actor, idempotency_key: str | None = None) -> Signal:
    """Send a signal to one run, whether it waits for it already or not.

    Sent again with the same `idempotency_key` it is the same signal. Raises RunFinished, TooManySignals,
    IdempotencyConflict and JsonInvalid.
    """
    signal = Signal(run=run, name=name, payload=_text_of(payload))

    def send() -> None:
        locked = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if locked.is_terminal:
            raise RunFinished(run.uuid, locked.status)
        _keep(signal, actor, idempotency_key, kept=Signal.objects.filter(run=run, step=None))
        post(run, kind=SIGNAL, payload={"name": signal.name}, actor=actor)

    return _once(signal, actor, idempotency_key, send)


def signal_business_key(
    *, business_key: str, name: str, payload: Json, actor: Actor, idempotency_key: str | None = None
) -> Signal:
    """Send a signal to the first run of a business key that waits for it, or ever will.

    Raises TooManySignals, IdempotencyConflict and JsonInvalid.
    """
    signal = Signal(business_key=business_key, name=name, payload=_text_of(payload))

    def send() -> None:
        kept = signals_of(actor.organization).filter(business_key=business_key)
        _keep(signal, actor, idempotency_key, kept=kept)
        told = _tell(signal, actor, but=set())
        # A run that is started meanwhile may look for signals before this one can be seen.
        transaction.on_commit(lambda: _tell(signal, actor, but=told))

    return _once(signal, actor, idempotency_key, send)


def _once(signal: Signal, actor: Actor, key: str | None, send: Callable[[], None]) -> Signal:
    """Send the signal, or return the one that was sent with this key before."""
    try:
        with transaction.atomic():
            if earlier := _sent_before(signal, actor, key):
                return earlier
            send()
            transaction.on_commit(wake_drivers)
    except IntegrityError:  # the same key at the same moment
        if earlier := _sent_before(signal, actor, key):
            return earlier
        raise
    return signal


def _text_of(payload: Json) -> str:
    limits = settings.WORKFLOW
    return strict_json.encode(payload, max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)[0]


def _sent_before(signal: Signal, actor: Actor, key: str | None) -> Signal | None:
    if key is None:
        return None
    earlier = Signal.objects.filter(organization=actor.organization, idempotency_key=key).first()
    if earlier is not None and not _is_same(earlier, signal):
        raise IdempotencyConflict(key, "sent another signal")
    return earlier


def _is_same(earlier: Signal, signal: Signal) -> bool:
    """One for a business key names a run, too, once that has taken it."""
    is_to_same = earlier.business_key == signal.business_key and (
        signal.business_key or earlier.run_id == signal.run_id
    )
    return bool(is_to_same) and (earlier.name, earlier.payload) == (signal.name, signal.payload)


def _keep(signal: Signal, actor: Actor, idempotency_key: str | None, *, kept: QuerySet[Signal]) -> None:
    limit = settings.WORKFLOW.max_kept_signals
    if kept.count() >= limit:
        raise TooManySignals(limit)
    signal.organization, signal.actor = actor.organization, actor.name
    signal.idempotency_key, signal.created_at = idempotency_key, timezone.now()
    signal.save(force_insert=True)
    data = {"name": signal.name, "business_key": signal.business_key, "run": signal.run and str(signal.run.uuid)}
    audit.record(actor=actor, action="signal.sent", obj=signal, data=data)


def _tell(signal: Signal, actor: Actor, *, but: Collection[int]) -> set[int]:
    """Have the runs of the business key look for the signal; one of them takes it. Return which were told."""
    runs = Run.objects.filter(organization=actor.organization, business_key=signal.business_key)
    told = list(runs.exclude(status__in=Run.TERMINAL).exclude(pk__in=but))
    for run in told:
        post(run, kind=SIGNAL, payload={"name": signal.name}, actor=actor)
    return {run.pk for run in told}
