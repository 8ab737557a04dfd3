"""`kill -9` of a cluster worker at the points where it hurts, and the run ends as if nothing had happened."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from runs import selectors
from runs.models import Run, Step
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers the tool here, too
from tests.durability.judging import assert_completed_once, calls_of
from tests.durability.workers import killed_worker
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
    [
        "in-a-tool:1",
        "in-a-tool:4",
        "before-a-commit:2",
        "in-a-commit:2",
        "after-a-commit:1",
        "after-a-commit:3",
        "before-a-claim:1,after-a-claim:1,before-a-tool:1",
        "before-the-bell:2,before-the-last-commit:1,after-the-last-commit:1",
    ],
)
def test_a_run_survives_the_death_of_its_worker_and_completes_no_step_twice(actor, tmp_path: Path, sabotage: str):
    """With several points several workers die, one after the other."""
    if sabotage.startswith("in-a-commit") and connection.vendor != "sqlite":
        pytest.skip("on PostgreSQL a commit is one statement")
    with killed_worker(sabotage, tmp_path):
        run = finish(start(actor, NODES, {"n": 0, "log": []}, state={"reducers": {"log": "append"}}))
    assert run.status == Run.Status.COMPLETED, run.error
    assert selectors.current_state(run).values == EXPECTED
    assert_completed_once(run)
    calls = calls_of(run, tmp_path)
    deaths = len(sabotage.split(","))
    assert {attempt for _, attempt in calls} <= set(range(1, deaths + 2))
    assert len(set(calls)) == len(calls), "no attempt is made twice"


@pytest.mark.parametrize(
    "sabotage",
    [
        f"{point}:{nth}"
        for point in ("in-an-atomic-tool", "before-an-atomic-commit", "after-an-atomic-commit")
        for nth in (1, 3)
    ],
)
def test_an_atomic_tool_leaves_its_rows_and_its_completion_or_neither(actor, tmp_path: Path, sabotage: str):
    nodes = {"a": {"tool": "book", "next": {"condition": "n >= 4", "if_true": "end", "if_false": "a"}}}
    with killed_worker(sabotage, tmp_path):
        run = finish(start(actor, nodes, {"n": 0}))
    assert run.status == Run.Status.COMPLETED, run.error
    assert_completed_once(run)
    steps = Step.objects.filter(run=run).order_by("scheduled_seq")
    written = [f"{step.key} {number}" for number, step in enumerate(steps)]
    assert list(Group.objects.order_by("pk").values_list("name", flat=True)) == written
