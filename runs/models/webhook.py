"""Who is told of a run's end, and how far that has come."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q


class Webhook(models.Model):
    """A URL that gets a POST when its run is over.

    Created with the run; `runs.webhooks` changes it, and `runs.store` when a run that was over goes on.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False, help_text="The delivery's id.")
    run = models.OneToOneField("runs.Run", models.CASCADE, related_name="webhook")
    url = models.TextField()
    secret = models.TextField(blank=True, default="", help_text="Sealed; empty: the organization's key signs.")
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, help_text="When it is tried, once the run is over.")
    last_error = models.TextField(blank=True, default="")
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="webhook_due", condition=Q(status="pending"))]

    def __str__(self) -> str:
        return f"webhook of run {self.run_id} ({self.status})"
