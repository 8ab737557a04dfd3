"""The processes that execute runs."""

from __future__ import annotations

import uuid

from django.db import models


class Driver(models.Model):
    """A driver's registration and its lease: `beat_at` is renewed by its pacemaker, and by nothing else.

    `boot_id`, `pid_namespace`, `pid` and `process_started` say whether a process on this host is still that
    process; another host can only wait for the lease to run out.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    host = models.CharField(max_length=255)
    boot_id = models.CharField(max_length=64)
    pid_namespace = models.CharField(max_length=64)
    pid = models.PositiveIntegerField()
    process_started = models.CharField(max_length=32)
    quarantine = models.BooleanField(default=False, help_text="Takes one quarantined run at a time.")
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_index=True)
    draining = models.BooleanField(default=False)
    not_called = models.JSONField(
        default=dict,
        editable=False,
        help_text="As of its last beat, by the id of a run: the steps that wait for a place, or for their executor.",
    )

    def __str__(self) -> str:
        return f"driver {self.pid} on {self.host}"
