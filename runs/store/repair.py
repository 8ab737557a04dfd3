"""Writing again what a verification found to be other than the journal says."""

from __future__ import annotations

from collections.abc import Sequence

from runs.models import Run, Snapshot, Step
from runs.store.writes import StepRow

_BATCH = 500
_REBUILT = [name for name in StepRow._fields if name != "step"]


def repair(run: Run, *, steps: Sequence[StepRow], unknown: Sequence[bytes], snapshots: Sequence[int]) -> None:
    """Put the rows of `steps` as they are given, delete those of `unknown` steps and the snapshots at these seqs.

    The caller has locked a run that nobody drives. How many workers died in a step is kept.
    """
    Step.objects.bulk_create(
        (Step(run=run, **row._asdict()) for row in steps),
        update_conflicts=True,
        unique_fields=["run", "step"],
        update_fields=_REBUILT,
        batch_size=_BATCH,
    )
    for start in range(0, len(unknown), _BATCH):
        Step.objects.filter(run=run, step__in=unknown[start : start + _BATCH]).delete()
    Snapshot.objects.filter(run=run, seq__in=snapshots).delete()
