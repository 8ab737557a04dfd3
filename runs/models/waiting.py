"""What comes to a run from outside, and what a run waits for."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Mailbox(models.Model):
    """A message to a run: an answer, a signal, a control verb, an edit. Its driver takes them in, in order of id."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="mailbox", db_index=False)
    kind = models.CharField(max_length=32)
    payload = models.TextField(default="{}", help_text="Canonical JSON.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    actor = models.CharField(max_length=200, blank=True, default="")
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - NULLs are not unique
    created_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True, blank=True)
    consumed_seq = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "mailbox"
        constraints = [models.UniqueConstraint(fields=["run", "idempotency_key"], name="mail_idempotency_key")]
        indexes = [models.Index(fields=["run", "id"], name="unread_mail", condition=models.Q(consumed_at=None))]

    def __str__(self) -> str:
        return f"{self.kind} for run {self.run_id}"


class Timer(models.Model):
    """A moment that a step waits for."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="timers")
    step = models.BinaryField(max_length=10)
    kind = models.CharField(max_length=32)
    fires_at = models.DateTimeField(db_index=True)
    data = models.TextField(default="{}", help_text="Canonical JSON.")

    def __str__(self) -> str:
        return f"{self.kind} at {self.fires_at}"


class HumanTask(models.Model):
    """A question to people that a step waits for."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        ANSWERED = "answered", "Answered"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="human_tasks")
    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="human_tasks")
    step = models.BinaryField(max_length=10)
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    title = models.CharField(max_length=200)
    instructions = models.TextField(blank=True, default="")
    form = models.TextField(default="{}", help_text="JSON Schema of the answer, canonical JSON.")
    assignees = models.TextField(default="{}", help_text="Users, roles and groups, canonical JSON.")
    quorum = models.PositiveSmallIntegerField(default=1)
    answers = models.TextField(default="[]", help_text="Canonical JSON.")
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.title


class Signal(models.Model):
    """A named message, kept until a waiting step consumes it, once."""

    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="signals")
    run = models.ForeignKey("runs.Run", models.CASCADE, null=True, blank=True, related_name="signals")
    business_key = models.CharField(max_length=200, blank=True, default="")
    name = models.CharField(max_length=100)
    payload = models.TextField(default="null", help_text="Canonical JSON.")
    actor = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["organization", "name", "business_key"], name="signal_lookup")]

    def __str__(self) -> str:
        return self.name
