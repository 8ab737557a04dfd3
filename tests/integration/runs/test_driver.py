"""A real driver on a real database: what a run does with what tools do."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from runs import selectors, services
from runs.models import Driver, Event, Run, Step, StepError, StreamChunk
from runs.store.mail import post
from runs.store.takeover import CRASHED
from tests.support.runs import driving, finish, start
from tests.support.tools import BAD_RESULTS, gate, peaks
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

COUNT_TO_3 = {"a": {"tool": "increment", "next": {"condition": "n >= 3", "if_true": "end", "if_false": "a"}}}


def final(run: Run) -> dict:
    return selectors.current_state(finish(run)).values


def error_of(run: Run) -> str:
    assert finish(run).status == "failed"
    return run.error


@pytest.fixture
def driver():
    with driving() as stop:
        yield stop


# ------------------------------------------------------------------ what a run does


def test_a_loop_runs_until_its_condition_holds(driver, actor):
    run = start(actor, COUNT_TO_3, {"n": 0})
    assert final(run) == {"n": 3}
    assert (run.status, run.error, run.driver_id, run.wake_at) == ("completed", "", None, None)
    assert selectors.execution_log(run) == ["Started node: a", "Completed node: a"] * 3


def test_the_journal_is_gapless_and_the_head_knows_its_end(driver, actor):
    run = finish(start(actor, COUNT_TO_3, {"n": 0}))
    seqs = list(Event.objects.filter(run=run).values_list("seq", flat=True))
    assert seqs == list(range(1, run.seq + 1))
    assert Event.objects.get(run=run, seq=run.seq).type == "RunCompleted"


def test_each_step_has_a_row_that_says_when_it_ran(driver, actor):
    run = finish(start(actor, COUNT_TO_3, {"n": 0}))
    steps = list(selectors.steps_of(run))
    assert [(step.node, step.status, step.attempt) for step in steps] == [("a", "completed", 1)] * 3
    for step in steps:
        assert run.created_at <= step.scheduled_at <= step.finished_at
        assert step.started_at <= step.finished_at
    for earlier, later in pairwise(steps):
        assert earlier.finished_seq == later.scheduled_seq


def test_the_state_can_be_read_at_every_seq(driver, actor):
    run = finish(start(actor, COUNT_TO_3, {"n": 0}))
    assert [selectors.state_at(run, seq).values["n"] for seq in range(1, run.seq + 1)] == [0, 1, 2, 3, 3]


def test_forked_branches_join_in_the_order_of_the_list(driver, actor):
    #   s ──► a ──► j
    #    └──► b ──┘
    write = lambda name: {"tool": "give", "inputs": {"value": name}, "outputs": {"log": "= result"}, "next": "j"}  # noqa: E731
    nodes = {"s": {"next": ["a", "b"]}, "a": write("a"), "b": write("b"), "j": {"join": "all"}}
    run = start(actor, nodes, {"log": []}, state={"reducers": {"log": "append"}})
    assert final(run) == {"log": ["a", "b"]}


def test_a_fast_branch_does_not_wait_for_a_slow_one(driver, actor):
    entered, opened = gate("slow")
    nodes = {
        "s": {"next": ["slow", "a"]},
        "slow": {"tool": "wait_for", "inputs": {"name": "slow"}},
        **COUNT_TO_3,
    }
    run = start(actor, nodes, {"n": 0}, start="s")
    wait_until(lambda: selectors.current_state(run).values["n"] == 3, "the fast branch has ended")
    assert entered.is_set()
    opened.set()
    assert final(run)["waited"]


def test_a_map_gives_its_results_in_item_order(driver, actor):
    nodes = {
        "s": {
            "next": {
                "map": "= xs",
                "as": "x",
                "to": "w",
                "join": "j",
                "collect": {"ys": "= doubled"},
                "max_parallel": 3,
            }
        },
        "w": {"tool": "double", "inputs": {"x": "= x"}},
        "j": {},
    }
    run = start(actor, nodes, {"xs": list(range(20))})
    assert final(run)["ys"] == [2 * x for x in range(20)]
    paths = Step.objects.filter(run=run, node="w").order_by("id").values_list("path", flat=True)
    assert set(paths) == {f"s[{index}]" for index in range(20)}


@pytest.mark.parametrize(
    ("limits", "route", "expected"),
    [({"max_parallel": 3}, {}, 3), ({}, {"max_parallel": 2}, 2)],
    ids=["of the run", "of the map"],
)
def test_no_more_than_max_parallel_steps_run_at_once(driver, actor, limits, route, expected):
    name = f"parallel {expected}"
    nodes = {
        "s": {"next": {"map": "= xs", "as": "x", "to": "w", "join": "j", "collect": {"ys": "= x"}, **route}},
        "w": {"tool": "count_inside", "inputs": {"name": name, "expected": expected + 1}},
        "j": {},
    }
    finish(start(actor, nodes, {"xs": list(range(10))}, limits=limits))
    assert peaks[name] == expected


def test_a_failure_goes_to_its_handler_which_sees_the_error(driver, actor):
    nodes = {
        "a": {"tool": "misbehave", "inputs": {"how": "raise a chain"}, "on_error": [{"match": "OSError", "to": "h"}]},
        "h": {"tool": "give", "inputs": {"value": "= error"}, "outputs": {"seen": "= result"}},
    }
    run = start(actor, nodes)
    seen = final(run)["seen"]
    assert (seen["type"], seen["message"], seen["node"], seen["attempt"]) == ("ConnectionError", "down", "a", 1)
    assert run.status == "completed"


def test_what_a_failure_does_not_touch_goes_on_to_its_end(driver, actor):
    nodes = {"s": {"next": ["bad", "a"]}, "bad": {"tool": "misbehave", "inputs": {"how": "raise"}}, **COUNT_TO_3}
    run = start(actor, nodes, {"n": 0}, start="s")
    assert error_of(run) == "bad: ValueError: oh"
    assert final(run)["n"] == 3


def test_the_traceback_of_an_attempt_is_kept_beside_the_journal(driver, actor):
    run = start(actor, {"a": {"tool": "misbehave", "inputs": {"how": "raise"}}})
    error_of(run)
    error = StepError.objects.get(run=run)
    assert (error.type, error.message, error.attempt) == ("ValueError", "oh", 1)
    assert 'raise ValueError("oh")' in error.traceback
    assert not Event.objects.filter(run=run, data__contains="Traceback").exists()


def test_an_argument_that_a_tool_changes_does_not_change_the_state(driver, actor):
    assert final(start(actor, {"a": {"tool": "spoil"}}, {"items": [1]})) == {"items": [1]}


def test_a_command_updates_replaces_and_deletes(driver, actor):
    run = start(
        actor, {"a": {"tool": "command"}}, {"log": [], "n": 1, "gone": 1},
        state={"reducers": {"log": "append", "n": "add"}},
    )  # fmt: skip
    assert final(run) == {"log": ["c"], "n": 7}


def test_a_tool_cannot_go_where_its_node_does_not_let_it(driver, actor):
    run = start(actor, {"a": {"tool": "go_elsewhere", "next": "b"}, "b": {}})
    assert error_of(run).startswith("a: BadRoute:")


def test_what_a_tool_logs_is_journaled_and_what_it_streams_is_gone_afterwards(driver, actor):
    run = start(actor, {"a": {"tool": "talk"}})
    state = final(run)
    lines = [json.loads(event.data) for event in Event.objects.filter(run=run, type="LogWritten")]
    assert [(line["node"], line["level"], line["message"]) for line in lines] == [
        ("a", "info", "line 0"),
        ("a", "info", "line 1"),
    ]
    step = Step.objects.get(run=run)
    assert state == {"key": f"{run.uuid}:{step.key}", "has_deadline": True}
    assert not StreamChunk.objects.filter(run=run).exists()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_ends_with_the_same_journal(driver, actor, durability):
    run = finish(start(actor, COUNT_TO_3, {"n": 0}, durability=durability))
    kinds = list(Event.objects.filter(run=run).values_list("type", flat=True))
    assert kinds == ["RunStarted", "StepCompleted", "StepCompleted", "StepCompleted", "RunCompleted"]
    assert selectors.current_state(run).values == {"n": 3}


# ------------------------------------------------------------------ what tools may do to it


@pytest.mark.parametrize("how", BAD_RESULTS)
@pytest.mark.parametrize("tool", ["misbehave", "misbehave_async"])
def test_a_result_that_is_no_update_fails_its_step_with_a_reason(driver, actor, tool, how):
    run = start(actor, {"bad": {"tool": tool, "inputs": {"how": how}}})
    neighbour = start(actor, COUNT_TO_3, {"n": 0})
    assert error_of(run).startswith("bad: ")
    assert final(neighbour) == {"n": 3}


@pytest.mark.parametrize(
    ("tool", "how", "reason"),
    [
        ("misbehave", "raise a tool error", "ToolError: in my own words"),
        ("misbehave", "raise without words", "Unspeakable: (its message cannot be read)"),
        ("misbehave", "raise NUL", "ValueError: a\ufffdb"),
        ("misbehave", "raise a surrogate", "ValueError: cannot read caf?.txt"),
        ("misbehave", "exit", "SystemExit: 3"),
        ("misbehave", "interrupt", "KeyboardInterrupt: "),
        ("misbehave_async", "exit", "SystemExit: 3"),
        ("misbehave_async", "cancel itself", "CancelledError: "),
        ("misbehave_async", "time out by itself", "TimeoutError: its own"),
    ],
)
def test_whatever_a_tool_raises_fails_its_step_and_nothing_else(driver, actor, tool, how, reason):
    run = start(actor, {"bad": {"tool": tool, "inputs": {"how": how}}})
    neighbour = start(actor, COUNT_TO_3, {"n": 0})
    assert error_of(run) == f"bad: {reason}"
    assert final(neighbour) == {"n": 3}


@pytest.mark.parametrize("tool", ["sleep_a_while", "sleep_a_while_async"])
def test_a_tool_that_outlives_its_timeout_fails(driver, actor, tool):
    run = start(actor, {"slow": {"tool": tool, "timeout_s": 0.05}})
    assert error_of(run) == "slow: TimeoutError: The tool ran longer than its timeout_s of 0.05 s."


def test_arguments_that_do_not_fit_fail_the_step_before_the_tool_is_called(driver, actor):
    run = start(actor, {"a": {"tool": "double", "inputs": {"x": "= word"}}}, {"word": "seven"})
    assert "ToolInputError" in error_of(run)


@pytest.mark.parametrize(
    ("size", "status"), [(100, "completed"), (101, "failed")], ids=["at the limit", "one byte more"]
)
def test_a_state_past_its_limit_is_refused(driver, actor, settings, size, status):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": 100})
    value = "x" * (size - len('{"v":""}'))
    run = start(actor, {"a": {"tool": "give", "inputs": {"value": value}, "outputs": {"v": "= result"}}})
    assert finish(run).status == status
    assert ("StateTooLarge" in run.error) is (status == "failed")


@pytest.mark.parametrize(
    ("size", "status"), [(100, "completed"), (101, "failed")], ids=["at the limit", "one byte more"]
)
def test_an_update_past_its_limit_is_refused(driver, actor, settings, size, status):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_update_bytes": 100})
    value = {"v": "x" * (size - len('{"v":""}'))}
    run = start(actor, {"a": {"tool": "give", "inputs": {"value": value}}})
    assert finish(run).status == status


@pytest.mark.parametrize(("count", "status"), [(3, "completed"), (4, "failed")], ids=["at the limit", "one more"])
def test_a_map_past_its_limit_is_refused(driver, actor, settings, count, status):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_map_items": 3})
    nodes = {
        "s": {"next": {"map": "= xs", "as": "x", "to": "w", "join": "j", "collect": {"ys": "= x"}}},
        "w": {},
        "j": {},
    }
    run = start(actor, nodes, {"xs": list(range(count))})
    assert finish(run).status == status
    assert ("MapTooLarge" in run.error) is (status == "failed")


def test_a_value_that_breaks_the_state_schema_fails_its_step(driver, actor):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2}}}
    run = start(actor, COUNT_TO_3, {"n": 0}, state={"schema": schema})
    assert error_of(run).startswith("a: StateSchemaError: /n:")
    assert final(run) == {"n": 2}


def test_a_loop_without_end_stops_at_its_limit(driver, actor):
    nodes = {"a": {"tool": "increment", "next": {"condition": "n < 0", "if_true": "end", "if_false": "a"}}}
    run = start(actor, nodes, {"n": 0}, limits={"max_steps": 5})
    assert "max_steps" in error_of(run)
    assert final(run) == {"n": 5}


# ------------------------------------------------------------------ control


@pytest.mark.parametrize("tool", ["wait_for", "wait_for_async"])
def test_cancelling_reaches_a_tool_that_runs(driver, actor, tool):
    entered, _ = gate("cancelled")
    run = start(actor, {"a": {"tool": tool, "inputs": {"name": "cancelled"}}})
    wait_until(entered.is_set, "the tool runs")
    services.cancel_run(run=run, actor=actor, reason="enough")
    assert finish(run).status == "cancelled"
    assert Step.objects.get(run=run).status == "cancelled"
    event = Event.objects.get(run=run, type="RunCancelled")
    assert '"actor":"owner"' in event.data
    assert '"reason":"enough"' in event.data


def test_mail_that_is_delivered_twice_is_taken_in_once(driver, actor):
    entered, _ = gate("twice")
    run = start(actor, {"a": {"tool": "wait_for", "inputs": {"name": "twice"}}})
    wait_until(entered.is_set, "the tool runs")
    for _ in range(3):
        post(run, kind="cancel", payload={"reason": ""}, actor=actor)
    finish(run)
    assert Event.objects.filter(run=run, type="RunCancelled").count() == 1


def test_a_run_past_its_own_time_limit_fails(driver, actor):
    gate("timeout")
    nodes = {"a": {"tool": "wait_for_async", "inputs": {"name": "timeout"}}}
    run = start(actor, nodes, limits={"timeout_s": 0.05})
    assert "0.05" in error_of(run)


# ------------------------------------------------------------------ drivers come and go


def test_a_driver_that_stops_hands_its_runs_to_the_next_at_a_step_boundary(actor):
    entered, opened = gate("handed back")
    nodes = {"w": {"tool": "wait_for", "inputs": {"name": "handed back"}, "next": "a"}, **COUNT_TO_3}
    with driving() as stop:
        run = start(actor, nodes, {"n": 0}, start="w")
        wait_until(entered.is_set, "the tool runs")
        stop.set()
        wait_until(Driver.objects.filter(draining=True).exists, "the driver drains")
        opened.set()
    run.refresh_from_db()
    assert (run.status, run.driver_id, run.quarantined) == ("running", None, False)
    with driving():
        assert final(run) == {"n": 3, "waited": True, "attempt": 1}


def test_a_tool_that_does_not_end_in_the_grace_time_runs_again_as_the_next_attempt(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.05})
    entered, opened = gate("stopped")
    with driving():
        run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "stopped"}}})
        wait_until(entered.is_set, "the tool runs")
    opened.set()
    with driving():
        assert final(run) == {"waited": True, "attempt": 2}
    kinds = list(Event.objects.filter(run=run).values_list("type", flat=True))
    assert kinds == ["RunStarted", "StepRescheduled", "StepCompleted", "RunCompleted"]


def test_a_run_whose_worker_died_goes_on_in_quarantine_and_leaves_it_when_its_step_is_over(actor):
    run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "died"}, "next": "a"}, **COUNT_TO_3}, {"n": 0})
    Run.objects.filter(pk=run.pk).update(quarantined=True, status="running", wake_at=timezone.now())
    _, opened = gate("died")
    opened.set()
    with driving(quarantine=True):
        wait_until(lambda: Run.objects.filter(pk=run.pk, quarantined=False, driver=None).exists(), "it left")
    run.refresh_from_db()
    assert not run.is_terminal, "the rest is for an ordinary driver"
    with driving():
        assert final(run) == {"n": 3, "waited": True, "attempt": 2}


def test_a_step_that_killed_too_many_workers_is_failed_before_it_starts_again(actor):
    entered, _ = gate("crashed")
    run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "crashed"}}})
    step = Step.objects.get(run=run)
    Run.objects.filter(pk=run.pk).update(quarantined=True, status="running")
    post(run, kind=CRASHED, payload={"step": step.key, "crashes": 5}, actor=actor)
    with driving(quarantine=True):
        assert error_of(run) == "w: WorkerCrashed: The worker process died 5 times while it ran this step."
    assert not entered.is_set()


def test_a_driver_writes_nothing_to_a_run_that_somebody_else_has_claimed(actor):
    entered, opened = gate("stolen")
    with driving():
        run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "stolen"}}})
        wait_until(entered.is_set, "the tool runs")
        Run.objects.filter(pk=run.pk).update(epoch=99, wake_at=timezone.now() + timedelta(hours=1))
        before = Event.objects.filter(run=run).count()
        opened.set()
        neighbour = start(actor, COUNT_TO_3, {"n": 0})
        finish(neighbour)
    assert Event.objects.filter(run=run).count() == before
    assert Step.objects.get(run=run).status == "running"


def test_a_run_whose_journal_is_damaged_is_parked_and_its_neighbours_go_on(actor):
    run = start(actor, COUNT_TO_3, {"n": 0})
    Event.objects.filter(run=run).update(type="Unheard")
    with driving():
        assert "Unheard" in error_of(run)
        assert final(start(actor, COUNT_TO_3, {"n": 0})) == {"n": 3}
