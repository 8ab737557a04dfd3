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
    """A question to people that a step waits for. This row is the arbiter of who answered first.

    The driver opens it with the step's wait, and closes it when the step is over for another reason; answers and
    delegation come by services that lock it. Its due time expires it by a conditional update.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        ANSWERED = "answered", "Answered"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    is_mine: bool
    """Whether whoever asks may answer: an annotation of `human_tasks.tasks_of`."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="human_tasks")
    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="human_tasks", db_index=False)
    step = models.BinaryField(max_length=10)
    node = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    title = models.CharField(max_length=200)
    instructions = models.TextField(blank=True, default="")
    form = models.TextField(default="{}", help_text="JSON Schema of the answer, canonical JSON.")
    quorum = models.PositiveSmallIntegerField(default=1)
    answers = models.TextField(default="[]", help_text="Canonical JSON.")
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step"], condition=models.Q(status="open"), name="one_open_task_per_step"
            )
        ]
        indexes = [
            models.Index(fields=["organization", "status", "-id"], name="task_by_status"),
            models.Index(fields=["run", "step"], name="task_by_step"),
        ]

    def __str__(self) -> str:
        return self.title


class TaskAssignee(models.Model):
    """Somebody who may answer a task. A task that has none is for everybody with the role operator."""

    class Kind(models.TextChoices):
        USER = "user", "User"
        ROLE = "role", "Role"
        GROUP = "group", "Group"

    task = models.ForeignKey(HumanTask, models.CASCADE, related_name="assignees", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=255)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["task", "kind", "name"], name="assigned_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Signal(models.Model):
    """A named message, kept until a waiting step consumes it, once.

    It is for one run, or for the first run of a business key that waits for it, which `run` names once it was taken.
    A driver takes it for a step before it completes the step with it: whoever goes on after that driver's death finds
    it by run and step.
    """

    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="signals")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    run = models.ForeignKey("runs.Run", models.CASCADE, null=True, blank=True, related_name="signals", db_index=False)
    step = models.BinaryField(max_length=10, null=True, blank=True, help_text="The step that took it.")
    business_key = models.CharField(max_length=200, blank=True, default="")
    name = models.CharField(max_length=255)
    payload = models.TextField(default="null", help_text="Canonical JSON.")
    actor = models.CharField(max_length=200, blank=True, default="")
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - NULLs are not unique
    created_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "idempotency_key"], name="signal_idempotency_key")
        ]
        indexes = [
            models.Index(
                fields=["organization", "name", "business_key", "id"],
                name="kept_signal",
                condition=models.Q(consumed_at=None),
            ),
            models.Index(fields=["run", "step"], name="signal_by_step"),
        ]

    def __str__(self) -> str:
        return self.name
