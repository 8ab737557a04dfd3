"""What must hold of a run that ended after something broke under it."""

import json
from collections import Counter
from pathlib import Path

from runs.models import Event, Run, Step
from tests.support.verifying import assert_as_journaled


def assert_completed_once(run: Run) -> None:
    entries = list(Event.objects.filter(run=run).order_by("seq"))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)), "the journal has no gap"
    completed = Counter(json.loads(entry.data)["step"] for entry in entries if entry.type == "StepCompleted")
    assert set(completed.values()) == {1}
    assert set(completed) == {step.key for step in Step.objects.filter(run=run)}
    assert set(Step.objects.filter(run=run).values_list("status", flat=True)) == {"completed"}
    assert_as_journaled(run)


def calls_of(run: Run, folder: Path) -> list[tuple[str, int]]:
    """The step and the attempt of each call that `sabotage.count` has noted in the folder for this run."""
    calls = []
    for step, attempt, key in map(str.split, (folder / "calls").read_text().splitlines()):
        if key.startswith(f"{run.uuid}:"):
            assert key == f"{run.uuid}:{step}"
            calls.append((step, int(attempt)))
    return calls
