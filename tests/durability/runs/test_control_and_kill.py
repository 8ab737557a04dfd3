"""`kill -9` of a worker while people control a run: every verb that was let in still counts, once."""

import json
from pathlib import Path

import pytest

from runs import control, selectors
from runs.models import Event, Mailbox, Run
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers the tool here, too
from tests.durability.judging import assert_completed_once
from tests.durability.workers import killed_worker
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

NODES = {
    "a": {"tool": "count", "next": "b"},
    "b": {"tool": "count", "next": {"condition": "n >= 103", "if_true": "end", "if_false": "b"}},
}


def at_rest(run: Run) -> bool:
    run.refresh_from_db()
    return run.status == Run.Status.PAUSED and run.driver_id is None


@pytest.mark.parametrize("sabotage", ["after-a-commit:2", "before-a-commit:5"])
def test_verbs_survive_the_death_of_the_worker(actor, tmp_path: Path, sabotage: str):
    with killed_worker(sabotage, tmp_path):
        run = start(
            actor, NODES, {"n": 0, "log": []}, state={"reducers": {"log": "append"}}, breakpoints=[{"node": "b"}]
        )
        wait_until(lambda: at_rest(run), "the breakpoint holds it")
        control.edit_state(run=run, actor=actor, values={"n": 100})
        wait_until(lambda: not Mailbox.objects.filter(run=run, consumed_at=None).exists(), "the edit is taken in")
        wait_until(lambda: at_rest(run), "it rests")
        control.set_breakpoints(run=run, actor=actor, breakpoints=[])
        control.resume_run(run=run, actor=actor)
        run = finish(run)
    assert run.status == Run.Status.COMPLETED, run.error
    assert selectors.current_state(run).values == {"n": 103, "log": [0, 100, 101, 102]}
    assert_completed_once(run)
    kinds = [event.type for event in Event.objects.filter(run=run).order_by("seq")]
    assert [kinds.count(kind) for kind in ("StateEdited", "RunResumed", "BreakpointsSet", "MailRefused")] == [
        1,
        1,
        2,
        0,
    ]
    hits = [json.loads(event.data) for event in Event.objects.filter(run=run, type="BreakpointHit")]
    assert len(hits) == 1


def test_a_retry_survives_a_worker_that_dies_before_it_has_written_of_it(actor, tmp_path: Path):
    nodes = {"a": {"tool": "count", "inputs": {"n": "= 12 % divisor"}, "outputs": {"n": "= result.n"}}}
    # The first commit says that the run failed, the second that its state was edited.
    with killed_worker("before-a-commit:3", tmp_path):
        run = finish(start(actor, nodes, {"divisor": 0}))
        assert run.status == Run.Status.FAILED
        control.edit_state(run=run, actor=actor, values={"divisor": 5})
        wait_until(lambda: Event.objects.filter(run=run, type="StateEdited").exists(), "the edit is taken in")
        wait_until(lambda: Run.objects.get(pk=run.pk).driver is None, "nobody drives it")
        control.retry_run(run=run, actor=actor)
        wait_until(lambda: Run.objects.get(pk=run.pk).status == Run.Status.COMPLETED, "it goes on")
    assert selectors.current_state(run).values == {"divisor": 5, "n": 3}
    kinds = list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))
    assert (kinds.count("RunReopened"), kinds.count("RunCompleted")) == (1, 1)
