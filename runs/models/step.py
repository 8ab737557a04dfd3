"""Steps as rows: a projection of the journal that the admin, the pages and the statistics read."""

from __future__ import annotations

from django.db import models


class Step(models.Model):
    """One turn of one node in one run. Written by `runs.store`; `verify_runs` rebuilds and compares it."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="steps", db_index=False)
    step = models.BinaryField(max_length=10, help_text="The engine's name for it (rule R3).")
    node = models.CharField(max_length=64)
    path = models.TextField(blank=True, default="", help_text="Enclosing map items.")
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    attempt = models.PositiveIntegerField(default=1)
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Workers that died in it.")
    doubts = models.PositiveSmallIntegerField(
        db_default=0, editable=False, help_text="Workers that died in quarantine while it was not alone there."
    )
    heartbeat = models.TextField(
        db_default="", editable=False, help_text="JSON of what its tool has reported lately, should the worker die."
    )
    tried_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when its tool is under way in quarantine."
    )
    scheduled_seq = models.BigIntegerField()
    finished_seq = models.BigIntegerField(null=True, blank=True)
    scheduled_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="", help_text="Canonical JSON of the last error.")

    class Meta:
        ordering = ["run", "scheduled_seq", "id"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="step_per_run")]

    def __str__(self) -> str:
        return f"{self.node} ({self.status})"

    @property
    def key(self) -> str:
        """The step's id as the API and the journal write it: 20 hexadecimal digits."""
        return bytes(self.step).hex()


class StepError(models.Model):
    """The error of one attempt, with its traceback, which the journal does not carry."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="step_errors", db_index=False)
    step = models.BinaryField(max_length=10)
    attempt = models.PositiveIntegerField()
    at = models.DateTimeField()
    type = models.CharField(max_length=200)
    message = models.TextField()
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["run", "step", "attempt"]
        constraints = [models.UniqueConstraint(fields=["run", "step", "attempt"], name="error_per_attempt")]

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type
