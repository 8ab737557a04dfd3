"""Locks that steps hold over all runs of an organization, and who waits for them."""

from __future__ import annotations

from django.db import models


class Lock(models.Model):
    """A named lock that is held: a lock without a row is free. Written by `runs.store.locks` alone."""

    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="locks", db_index=False)
    name = models.CharField(max_length=200)
    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="locks", db_index=False)
    step = models.BinaryField(max_length=10)
    acquired_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_holder_of_a_lock")]
        indexes = [models.Index(fields=["run", "step"], name="lock_of_step")]

    def __str__(self) -> str:
        return self.name


class LockWait(models.Model):
    """A step that waits for a lock; the smallest id is the next to get it."""

    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=200)
    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="lock_waits", db_index=False)
    step = models.BinaryField(max_length=10)
    since = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_lock_wait_of_a_step")]
        indexes = [models.Index(fields=["organization", "name", "id"], name="lock_queue")]

    def __str__(self) -> str:
        return f"{self.run_id} for {self.name}"
