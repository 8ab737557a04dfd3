"""A run's head: what people list and filter, and what drivers claim by."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Run(models.Model):
    """One execution of one version.

    The journal (`Event`) is the truth; this row is its head. After creation only `runs.store` writes it. A run is
    due when no driver holds it and `wake_at` has come; a terminal run has no `wake_at`, but for mail to a failed one.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        PAUSED = "paused", "Paused"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

    FINAL = frozenset({Status.COMPLETED, Status.CANCELLED})
    """What nothing can change any more; a failed run can be opened again."""

    class Durability(models.TextChoices):
        SYNC = "sync", "Every step, before the next starts"
        ASYNC = "async", "Every step, while the next runs"
        EXIT = "exit", "When the run ends or waits"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="runs")
    version = models.ForeignKey("graphs.GraphVersion", models.PROTECT, related_name="runs")
    begun_with = models.ForeignKey(
        "graphs.GraphVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version that the journal begins with, if the run was migrated since.",
    )
    former_versions = models.TextField(
        default="",
        editable=False,
        help_text="The ids of the versions that it was migrated away from, or that the run had which it is a fork of: "
        "what one of them marked secret stays so.",
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    input = models.TextField(help_text="Canonical JSON of the initial state as it was given.")
    error = models.TextField(blank=True, default="", help_text="Why the run failed, in a sentence.")

    business_key = models.CharField(max_length=200, blank=True, default="")
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - NULLs are not unique
    request_digest = models.CharField(
        max_length=64, blank=True, default="", editable=False, help_text="Of the request that came with the key."
    )
    priority = models.SmallIntegerField(default=0)
    labels = models.JSONField(default=dict)
    trigger = models.CharField(max_length=32, default="api", help_text="api, admin, page, schedule…")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    actor = models.CharField(max_length=200, blank=True, default="")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    forked_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="forks")
    fork_seq = models.BigIntegerField(null=True, blank=True)
    durability = models.CharField(max_length=8, choices=Durability, default=Durability.SYNC)
    semantics_version = models.SmallIntegerField(default=1)

    seq = models.BigIntegerField(default=0, help_text="The number of the newest event.")
    epoch = models.BigIntegerField(default=0, help_text="The fencing number; each claim raises it.")
    # Not SET_NULL: a run without a driver and without a time to wake is nobody's for ever.
    driver = models.ForeignKey("runs.Driver", models.PROTECT, null=True, blank=True, related_name="runs")
    quarantined = models.BooleanField(default=False, help_text="Its worker died; it goes on alone.")
    wake_at = models.DateTimeField(null=True, blank=True)
    queued = models.BooleanField(default=False, help_text="Waits until others are over before it may start.")
    exclusive = models.BooleanField(
        default=False, help_text="Starts when no other run of its graph with its business key is under way."
    )
    deadline_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Nobody sees it any more; its rows are on their way out."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["organization", "idempotency_key"], name="run_idempotency_key")]
        indexes = [
            models.Index(
                fields=["quarantined", "organization", "-priority", "wake_at"],
                name="run_due",
                condition=Q(driver__isnull=True, wake_at__isnull=False),
            ),
            models.Index(fields=["organization", "-priority", "id"], name="run_queued", condition=Q(queued=True)),
            models.Index(fields=["organization", "-id"], name="run_by_organization"),
            models.Index(fields=["organization", "status", "-id"], name="run_by_status"),
            models.Index(
                fields=["organization", "business_key"],
                name="run_by_business_key",
                condition=~Q(business_key=""),
            ),
            models.Index(fields=["deleted_at"], name="run_deleted", condition=Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.uuid}"

    @property
    def is_terminal(self) -> bool:
        return self.status in self.TERMINAL
