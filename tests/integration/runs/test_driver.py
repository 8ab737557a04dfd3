"""A real driver on a real database: what a run does with what tools do."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from django.utils import timezone

from runs import control, selectors
from runs.models import Driver, Event, Run, Snapshot, Step, StepError, StreamChunk
from runs.signals import signal_run
from runs.store import Store, open_store
from runs.store.mail import post
from runs.store.takeover import CRASHED
from runs.verification import verify_run
from tests.support.runs import driving, finish, is_waiting, start
from tests.support.tools import BAD_RESULTS, entered, gate, peaks
from tests.support.verifying import assert_as_journaled
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
        "w": {"tool": "count_inside", "inputs": {"name": name, "expected": expected}},
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
        ("misbehave", "raise a wish that cannot be read", "Limited: 429"),
        ("misbehave", "raise what cannot be looked at", "RuntimeError: no face"),
        ("misbehave", "exit", "SystemExit: 3"),
        ("misbehave", "interrupt", "KeyboardInterrupt"),
        ("misbehave_async", "exit", "SystemExit: 3"),
        ("misbehave_async", "cancel itself", "CancelledError"),
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


AT_THE_LIMIT = pytest.mark.parametrize(("room", "status"), [(0, "completed"), (-1, "failed")], ids=["at", "past"])


def assert_refused_at(node: str, run: Run, status: str) -> None:
    assert finish(run).status == status
    assert run.error.startswith(f"{node}: StateTooLarge: ") is (status == "failed")


@AT_THE_LIMIT
@pytest.mark.parametrize("slow", ["a", "b"])
def test_branches_that_are_too_large_together_fail_where_they_join(driver, actor, settings, room, status, slow):
    #   s ──► a ──► j
    #    └──► b ──┘
    limit = len('{"log":["","",0],"n":0}') + 2 * 900 + room
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": limit})
    give = {"tool": "give", "inputs": {"value": "x" * 900}, "outputs": {"log": "= result"}, "next": "j"}
    entered, opened = gate("slow branch")
    wait = {"tool": "wait_for", "inputs": {"name": "slow branch"}, "outputs": {"n": "= 0"}, "next": f"{slow}2"}
    nodes = {"s": {"next": ["a", "b"]}, "a": give, "b": give, "j": {"join": "all", "outputs": {"log": "= 0"}}}
    nodes |= {slow: wait, f"{slow}2": give}
    run = start(actor, nodes, {"log": [], "n": 0}, state={"reducers": {"log": "append"}})
    wait_until(entered.is_set, "the slow branch runs")
    opened.set()
    assert_refused_at("j", run, status)


@AT_THE_LIMIT
def test_what_a_map_gathers_counts_where_it_closes(driver, actor, settings, room, status):
    limit = len('{"xs":[1,2,3],"ys":["","",""],"n":0}') + 3 * 900 + room
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": limit})
    route = {"map": "= xs", "as": "x", "to": "w", "join": "j", "collect": {"ys": "= big"}}
    nodes = {
        "s": {"next": route},
        "w": {"tool": "give", "inputs": {"value": {"big": "x" * 900}}},
        "j": {"tool": "give", "inputs": {"value": {"n": 0}}},
    }
    assert_refused_at("j", start(actor, nodes, {"xs": [1, 2, 3]}), status)


@AT_THE_LIMIT
def test_what_items_without_collect_append_counts_where_their_map_closes(driver, actor, settings, room, status):
    limit = len('{"xs":[1,2],"log":["",""]}') + 2 * 900 + room
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": limit})
    nodes = {
        "s": {"next": {"map": "= xs", "as": "x", "to": "w", "join": "j"}},
        "w": {"tool": "give", "inputs": {"value": {"log": "x" * 900}}},
        "j": {},
    }
    run = start(actor, nodes, {"xs": [1, 2], "log": []}, state={"reducers": {"log": "append"}})
    assert_refused_at("j", run, status)


@AT_THE_LIMIT
def test_branches_that_are_too_large_together_fail_where_the_run_ends(driver, actor, settings, room, status):
    limit = len('{"log":["",""]}') + 2 * 900 + room
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": limit})
    give = {"tool": "give", "inputs": {"value": {"log": "x" * 900}}}
    nodes = {"s": {"next": ["a", "b"]}, "a": give, "b": give}
    run = start(actor, nodes, {"log": []}, state={"reducers": {"log": "append"}})
    assert_refused_at("end", run, status)


def test_a_branch_grows_to_its_own_limit_beside_a_small_one(driver, actor, settings):
    """A small neighbour that is measured must not make a large one look small."""
    limit = 5_000
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_state_bytes": limit})
    grow = {"tool": "give", "inputs": {"value": "x" * 900}, "outputs": {"log": "= result", "n": "= 1"}}
    again = {"condition": "n < 20", "if_true": "a", "if_false": "end"}
    spin = {"tool": "give", "inputs": {"value": "y" * 900}, "outputs": {"y": "= result", "m": "= 1"}}
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {**grow, "next": again},
        "b": {**spin, "next": {"condition": "m < 50", "if_true": "b", "if_false": "end"}},
    }
    reducers = {"log": "append", "n": "add", "m": "add"}
    run = start(actor, nodes, {"log": [], "n": 0, "m": 0, "y": ""}, state={"reducers": reducers})
    assert error_of(run).startswith("a: StateTooLarge: ")


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


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        (
            {
                "s": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"n": "= 'text'"}}},
                "w": {"next": "j"},
                "j": {},
            },
            "s: StateSchemaError: /n:",
        ),
        (
            {
                "s": {"next": ["a", "b"]},
                "a": {"tool": "give", "inputs": {"value": {"log": "a"}}, "next": "j"},
                "b": {"tool": "give", "inputs": {"value": {"log": "b"}}, "next": "j"},
                "j": {"join": "all"},
            },
            "j: StateSchemaError: /log:",
        ),
    ],
    ids=["a map", "a join"],
)
def test_what_a_map_or_a_join_makes_of_the_state_has_to_keep_its_schema(driver, actor, nodes, error):
    schema = {"properties": {"n": {"type": "integer"}, "log": {"type": "array", "maxItems": 1}}}
    run = start(actor, nodes, {"n": 1, "log": []}, state={"schema": schema, "reducers": {"log": "append"}})
    assert error_of(run).startswith(error)
    assert final(run)["n"] == 1
    assert verify_run(run).differences == []


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
    control.cancel_run(run=run, actor=actor, reason="enough")
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


def test_a_driver_that_ended_leaves_no_connection_open(actor):
    opened = []

    def note(connection, **_):
        opened.append(connection)  # held, so that nobody closes it by forgetting it

    connection_created.connect(note)
    try:
        with driving():
            finish(start(actor, COUNT_TO_3, {"n": 0}))
    finally:
        connection_created.disconnect(note)
    assert opened
    wait_until(
        lambda: all(one.connection is None for one in opened if one is not connections["default"]), "all are closed"
    )


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


def quarantine(run: Run) -> None:
    """As if the worker had died in all steps that are in flight."""
    Run.objects.filter(pk=run.pk).update(quarantined=True, status="running", wake_at=timezone.now())


def tried_in(run: Run) -> list[str]:
    return list(Step.objects.filter(run=run).exclude(tried_at=None).values_list("node", flat=True))


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


TWO_WAITS = {
    "s": {"next": ["a", "b"]},
    "a": {"tool": "wait_for", "inputs": {"name": "first"}, "outputs": {"a": "= result.attempt"}},
    "b": {"tool": "wait_for", "inputs": {"name": "second"}, "outputs": {"b": "= result.attempt"}},
}


def quarantined_in_two_steps(actor, **more) -> Run:
    run = start(actor, TWO_WAITS, **more)
    with driving():
        wait_until(lambda: entered["first"].is_set() and entered["second"].is_set(), "both branches are called")
    entered["first"].clear()
    entered["second"].clear()
    quarantine(run)
    return run


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_in_quarantine_one_step_at_a_time_is_called_and_the_disk_knows_which(actor, settings, durability):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2, "quarantine_alone_s": 60})
    first, open_first = gate("first")
    second, open_second = gate("second")
    run = quarantined_in_two_steps(actor, durability=durability)
    with driving(quarantine=True):
        wait_until(first.is_set, "one branch is called")
        assert tried_in(run) == ["a"]
        assert not second.is_set()
        assert Step.objects.get(run=run, node="b").attempt == 2, "the other one is left as it is"
        open_first.set()
        open_second.set()
        wait_until(second.is_set, "the other one is called")
        wait_until(lambda: Run.objects.filter(pk=run.pk, quarantined=False, driver=None).exists(), "the run left")
    assert tried_in(run) == []
    with driving():
        assert final(run) == {"a": 3, "b": 3}


def test_in_quarantine_a_step_that_lives_for_a_while_lets_the_next_one_begin(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2, "quarantine_alone_s": 0.05})
    first, open_first = gate("first")
    second, open_second = gate("second")
    run = quarantined_in_two_steps(actor)
    third, open_third = gate("third")
    other = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "third"}}})
    quarantine(other)
    with driving(quarantine=True):
        wait_until(lambda: first.is_set() and second.is_set() and third.is_set(), "all are called")
        assert sorted(tried_in(run)) == ["a", "b"]
        assert tried_in(other) == ["w"]
        for opened in (open_first, open_second, open_third):
            opened.set()
        wait_until(lambda: not Run.objects.filter(quarantined=True).exists(), "both runs left")
    with driving():
        assert final(run) == {"a": 3, "b": 3}
        assert final(other)["attempt"] == 2


def test_in_quarantine_the_step_that_was_called_last_before_the_death_is_called_first(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2, "quarantine_alone_s": 60})
    gate("first")
    second, _ = gate("second")
    run = quarantined_in_two_steps(actor)
    Step.objects.filter(run=run).update(doubts=1)
    Step.objects.filter(run=run, node="b").update(tried_at=timezone.now())
    with driving(quarantine=True):
        wait_until(second.is_set, "it is called")
        assert tried_in(run) == ["b"]
        assert not entered["first"].is_set()


def test_in_quarantine_steps_beyond_max_parallel_wait_for_an_ordinary_driver(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2, "quarantine_alone_s": 0.05})
    first, open_first = gate("first")
    second, open_second = gate("second")
    run = start(actor, TWO_WAITS, limits={"max_parallel": 1})
    with driving():
        wait_until(first.is_set, "one branch is called")
    quarantine(run)
    third, open_third = gate("third")
    other = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "third"}}})
    quarantine(other)
    with driving(quarantine=True):
        wait_until(third.is_set, "the other run is not held up")
        assert not second.is_set()
        for opened in (open_first, open_second, open_third):
            opened.set()
        wait_until(lambda: not Run.objects.filter(quarantined=True).exists(), "both runs left")
        assert not second.is_set()
    with driving():
        assert final(run) == {"a": 3, "b": 1}


@pytest.mark.parametrize("quarantined", [False, True])
@pytest.mark.parametrize(
    ("end", "node"),
    [
        ("RunCompleted", {"wait": {"seconds": 0}}),
        ("RunFailed", {"tool": "misbehave", "inputs": {"how": "raise"}}),
        ("RunCancelled", {"wait": {"signal": "never"}}),
    ],
)
def test_a_run_that_is_over_does_not_end_again_in_whoever_takes_it_up(actor, end, node, quarantined):
    with driving():
        run = start(actor, {"a": node}, limits={"timeout_s": 3600})
        if end == "RunCancelled":
            control.cancel_run(run=run, actor=actor)
        finish(run)
    post(run, kind="cancel", payload={"reason": "late"}, actor=actor)
    long_ago = timezone.now() - timedelta(hours=2)
    Run.objects.filter(pk=run.pk).update(quarantined=quarantined, wake_at=timezone.now(), started_at=long_ago)
    over = (run.status, run.error, run.finished_at)
    with driving(), driving(quarantine=True):
        wait_until(
            lambda: Run.objects.filter(pk=run.pk, wake_at=None, driver=None, epoch__gt=1).exists(), "it is let go"
        )
    run.refresh_from_db()
    assert (run.status, run.error, run.finished_at) == over
    ends = ("RunCompleted", "RunFailed", "RunCancelled")
    assert list(Event.objects.filter(run=run, type__in=ends).values_list("type", flat=True)) == [end]
    assert_as_journaled(run)


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


#   a ⟲ until n is 12 ──► w ──► b ⟲ until n is 24, w waiting for an hour; each turn writes 100 kB
_GROW = {"tool": "give", "inputs": {"value": "x" * 100_000}, "outputs": {"last": "= result", "n": "= n + 1"}}
GROWING = {
    "a": {**_GROW, "next": {"condition": "n >= 12", "if_true": "w", "if_false": "a"}},
    "w": {"wait": {"signal": "go"}, "next": "b"},
    "b": {**_GROW, "next": {"condition": "n >= 24", "if_true": "end", "if_false": "b"}},
}


def rest_half_way(actor) -> Run:
    run = start(actor, GROWING, {"n": 0})
    with driving():
        wait_until(lambda: is_waiting(run), "it has left memory")
    return run


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store()
    yield store
    store.close()


def assert_sizes_are_true(run: Run) -> None:
    snapshots = Snapshot.objects.filter(run=run)
    for snapshot in snapshots:
        before = Event.objects.filter(run=run, seq__lte=snapshot.seq)
        assert snapshot.journal_size == sum(len(event.data) for event in before)
        assert snapshot.state_size == len(snapshot.state)


def test_a_long_journal_is_not_measured_anew_by_each_driver(actor, store, monkeypatch):
    run = rest_half_way(actor)
    half_way = Snapshot.objects.filter(run=run).count()
    assert half_way > 1

    def measured(*_: object, **__: object) -> int:
        raise AssertionError("the journal is read as a whole")

    monkeypatch.setattr(type(store), "journal_size", measured)
    signal_run(run=run, name="go", payload=None, actor=actor)
    with driving():
        assert finish(run).status == "completed"
    assert Snapshot.objects.filter(run=run).count() > half_way
    assert_sizes_are_true(run)


def test_snapshots_of_an_earlier_release_are_measured_once(actor):
    run = rest_half_way(actor)
    before = list(Snapshot.objects.filter(run=run).values_list("seq", flat=True))
    Snapshot.objects.filter(run=run).update(state_size=None, journal_size=None)
    signal_run(run=run, name="go", payload=None, actor=actor)
    with driving():
        assert finish(run).status == "completed"
    Snapshot.objects.filter(run=run, seq__in=before).delete()
    assert Snapshot.objects.filter(run=run).exists()
    assert_sizes_are_true(run)
