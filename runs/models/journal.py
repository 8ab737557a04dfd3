"""The journal of a run and what is derived from it to make reading fast. Written by `runs.store` alone."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """A fact that happened in a run, numbered by `seq`. All of them, in order, are the truth; none ever changes."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="events", db_index=False)
    seq = models.BigIntegerField()
    type = models.CharField(max_length=32)
    v = models.SmallIntegerField(default=1, help_text="Version of this type's fields.")
    at = models.DateTimeField()
    data = models.TextField(help_text="Canonical JSON.")

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="event_seq_per_run")]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Snapshot(models.Model):
    """The engine's folded state after `seq`, kept only to make reading fast; any of them may be deleted."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="snapshots", db_index=False)
    seq = models.BigIntegerField()
    semantics_version = models.SmallIntegerField(default=1)
    state = models.TextField(help_text="Canonical JSON.")
    state_size = models.BigIntegerField(null=True, help_text="Characters of the state.")
    journal_size = models.BigIntegerField(null=True, help_text="Characters of the journal up to here.")

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="snapshot_seq_per_run")]
        # SQLite would come to the sizes in the row through all pages of the state.
        indexes = [models.Index(fields=["run", "seq", "state_size", "journal_size"], name="snapshot_sizes")]

    def __str__(self) -> str:
        return f"snapshot at {self.seq}"


class StreamChunk(models.Model):
    """What a tool streams while it runs, numbered over all attempts of its step. Deleted when the step is over."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="chunks", db_index=False)
    step = models.BinaryField(max_length=10)
    number = models.IntegerField()
    text = models.TextField()

    class Meta:
        ordering = ["run", "step", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "step", "number"], name="chunk_number_per_step")]

    def __str__(self) -> str:
        return f"chunk {self.number}"
