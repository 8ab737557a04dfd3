"""Writes a run's journal as a driver would, from this process or from another one.

Run as a program it is that other process: `python -m tests.integration.stream.scribe RUN_ID COUNT BATCH`.
"""

import json
import sys

from django.db import transaction
from django.utils import timezone


class Scribe:
    """The one writer of a run that no driver holds."""

    def __init__(self, run_id: int) -> None:
        from runs.models import Run

        self._run = Run.objects.get(pk=run_id)

    def write(self, count: int = 1, *, padding: int = 0, status: str = "running", ring: bool = True) -> int:
        """Append entries in one transaction, move the head, ring; return the new seq."""
        from runs import bell
        from runs.models import Event, Run

        first = self._run.seq + 1
        data = json.dumps({"node": "work", "step": "01" * 10, "padding": "x" * padding})
        now = timezone.now()
        with transaction.atomic():
            Event.objects.bulk_create(
                Event(run=self._run, seq=seq, type="StepCompleted", at=now, data=data)
                for seq in range(first, first + count)
            )
            self._run.seq += count
            self._run.status = status
            Run.objects.filter(pk=self._run.pk).update(seq=self._run.seq, status=status)
        if ring:
            bell.ring_watchers(self._run.pk, self._run.seq)
        return self._run.seq

    def stream(self, number: int, text: str) -> None:
        from runs import bell
        from runs.models import StreamChunk

        StreamChunk.objects.create(run=self._run, step=b"\x01" * 10, number=number, text=text)
        bell.ring_watchers(self._run.pk, self._run.seq)

    def finish(self, status: str = "completed") -> int:
        return self.write(status=status)


def main(run_id: int, count: int, batch: int) -> None:
    scribe = Scribe(run_id)
    for _ in range(count // batch):
        scribe.write(batch)
    scribe.finish()


if __name__ == "__main__":
    import django

    django.setup()
    main(*map(int, sys.argv[1:]))
