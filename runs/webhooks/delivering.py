"""Which webhooks are due, and what comes of a delivery."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.errors import SealBroken
from runs.errors import WebhookUrlRefused
from runs.models import Run, Webhook
from runs.webhooks.body import body_of, headers_of
from runs.webhooks.sending import DeliveryFailed, Sender

logger = logging.getLogger(__name__)

CLAIM = timedelta(seconds=90)
"""How long nobody else tries a delivery that is being made: longer than one takes, the look-up of the name included."""
GROWTH = 4
MAX_ERROR_CHARACTERS = 1_000


def sender() -> Sender:
    """As the settings say."""
    limits = settings.WORKFLOW
    return Sender(timeout_s=limits.webhook_timeout_s, allow_private=limits.webhooks_allow_private)


def claim_due(limit: int) -> list[Webhook]:
    """Take up to `limit` webhooks that are due. Who takes one delivers it."""
    now = timezone.now()
    due = (
        Webhook.objects.filter(
            status=Webhook.Status.PENDING, next_at__lte=now, run__status__in=Run.TERMINAL, run__deleted_at=None
        )
        .select_related("run__organization", "run__version__graph")
        .order_by("next_at")
    )
    return [webhook for webhook in due[:limit] if _claim(webhook)]


def deliver(webhook: Webhook) -> None:
    """Make one delivery of a claimed webhook and note what came of it."""
    body = body_of(webhook.run)
    try:
        headers = headers_of(webhook, body, timestamp=int(timezone.now().timestamp()))
        sender().post(webhook.url, body, headers)
    except DeliveryFailed as error:
        _note_failure(webhook, str(error), is_final=webhook.attempts >= settings.WORKFLOW.webhook_tries)
    except (WebhookUrlRefused, SealBroken) as error:
        _note_failure(webhook, str(error), is_final=True)
    else:
        _note(webhook, status=Webhook.Status.DELIVERED, delivered_at=timezone.now(), next_at=None, last_error="")


def pause_after(attempt: int) -> timedelta:
    """How long to wait after the attempt of this number has failed."""
    limits = settings.WORKFLOW
    grown = limits.webhook_first_retry_s * GROWTH ** min(attempt - 1, 100)
    return timedelta(seconds=min(grown, limits.webhook_longest_retry_s))


def _claim(webhook: Webhook) -> bool:
    claimed = timezone.now() + CLAIM
    unclaimed = Webhook.objects.filter(pk=webhook.pk, status=Webhook.Status.PENDING, next_at=webhook.next_at)
    if unclaimed.update(next_at=claimed, attempts=F("attempts") + 1) != 1:
        return False
    webhook.next_at = claimed
    webhook.attempts += 1
    return True


def _note_failure(webhook: Webhook, reason: str, *, is_final: bool) -> None:
    logger.warning("The webhook of run %s was not delivered: %s", webhook.run.uuid, reason)
    error = reason[:MAX_ERROR_CHARACTERS]
    if is_final:
        _note(webhook, status=Webhook.Status.FAILED, next_at=None, last_error=error)
    else:
        _note(webhook, next_at=timezone.now() + pause_after(webhook.attempts), last_error=error)


def _note(webhook: Webhook, **changes: object) -> None:
    """Unless somebody has claimed it since, or asked for it again."""
    Webhook.objects.filter(pk=webhook.pk, next_at=webhook.next_at, attempts=webhook.attempts).update(**changes)
