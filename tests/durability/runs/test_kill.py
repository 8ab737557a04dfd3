"""`kill -9` of a cluster worker at the points where it hurts, and the run ends as if nothing had happened."""

import json
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection

from runs import selectors
from runs.models import Event, Run, Step
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers the tool here, too
from tests.support.processes import managing
from tests.support.runs import finish, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

#   s ──► a ⟲ (five turns) ──► j
#    └──► b ──────────────────┘
NODES = {
    "s": {"next": ["a", "b"]},
    "a": {"tool": "count", "next": {"condition": "n >= 5", "if_true": "j", "if_false": "a"}},
    "b": {"tool": "count", "inputs": {"n": 100}, "outputs": {"log": "= result.log"}, "next": "j"},
    "j": {"join": "all"},
}
EXPECTED = {"n": 5, "log": [0, 1, 2, 3, 4, 100]}


@pytest.mark.parametrize(
    "sabotage",
    ["in-a-tool:1", "in-a-tool:4", "before-a-commit:2", "in-a-commit:2", "after-a-commit:1", "after-a-commit:3"],
)
def test_a_run_survives_the_death_of_its_worker_and_completes_no_step_twice(actor, tmp_path: Path, sabotage: str):
    if sabotage.startswith("in-a-commit") and connection.vendor != "sqlite":
        pytest.skip("on PostgreSQL a commit is one statement")
    (tmp_path / "calls").touch()
    with managing(
        "worker",
        "--workers=1",
        WORKFLOW_TOOL_MODULES="tests.durability.sabotage",
        WORKFLOW_BEAT_INTERVAL_S="0.5",
        SABOTAGE=sabotage,
        SABOTAGE_FOLDER=str(tmp_path),
    ):
        run = finish(start(actor, NODES, {"n": 0, "log": []}, state={"reducers": {"log": "append"}}))
    assert (tmp_path / "killed").exists(), "the fault was never injected"
    assert run.status == Run.Status.COMPLETED, run.error
    assert selectors.current_state(run).values == EXPECTED
    assert_completed_once(run)
    assert_called_again_under_the_same_key(run, tmp_path)


def assert_completed_once(run: Run) -> None:
    entries = list(Event.objects.filter(run=run).order_by("seq"))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)), "the journal has no gap"
    completed = Counter(json.loads(entry.data)["step"] for entry in entries if entry.type == "StepCompleted")
    assert set(completed.values()) == {1}
    assert set(completed) == {step.key for step in Step.objects.filter(run=run)}
    assert set(Step.objects.filter(run=run).values_list("status", flat=True)) == {"completed"}


def assert_called_again_under_the_same_key(run: Run, folder: Path) -> None:
    calls = [line.split() for line in (folder / "calls").read_text().splitlines()]
    for step, attempt, key in calls:
        assert key == f"{run.uuid}:{step}"
        assert int(attempt) <= 2
    assert len({(step, attempt) for step, attempt, _ in calls}) == len(calls), "no attempt is made twice"
