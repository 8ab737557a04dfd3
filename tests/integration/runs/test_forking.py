"""Forks in a real driver."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from accounts.models import AuditEntry
from graphs import services as graphs
from runs.control import cancel_run
from runs.errors import ControlInvalid, ForkRefused, MigrationRefused
from runs.forking import fork_run
from runs.human_tasks import answer_task
from runs.models import Event, HumanTask, Run, Step
from runs.selectors import current_state, execution_log, state_at
from runs.verification import verify_run
from tests.support.runs import definition, driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

#   a ── b ── c, each raising n
LINE = {
    "a": {"tool": "increment", "inputs": {"n": "= n"}, "next": "b"},
    "b": {"tool": "increment", "inputs": {"n": "= n"}, "next": "c"},
    "c": {"tool": "increment", "inputs": {"n": "= n"}},
}


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def rows(run: Run) -> list[tuple[str, str, int]]:
    return list(Step.objects.filter(run=run).order_by("scheduled_seq", "pk").values_list("node", "status", "attempt"))


def journal(run: Run) -> list[tuple[int, str, str]]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("seq", "type", "data"))


@pytest.fixture
def finished(actor) -> Run:
    with driving():
        return finish(start(actor, LINE, {"n": 0}))


def test_a_fork_goes_on_from_the_event_and_the_original_never_moves(actor, finished):
    before = journal(finished)
    fork = fork_run(run=finished, at_seq=2, actor=actor)
    assert (fork.forked_from, fork.fork_seq, fork.version, fork.trigger) == (finished, 2, finished.version, "fork")
    assert rows(fork) == [("b", "running", 1)]
    with driving():
        finish(fork)
    assert (fork.status, current_state(fork).values) == ("completed", {"n": 3})
    assert verify_run(fork).differences == []
    assert types(fork) == ["RunForked", "StepCompleted", "StepCompleted", "RunCompleted"]
    assert journal(finished) == before
    assert current_state(finished).values == {"n": 3}


def test_every_event_of_a_fork_can_be_read(actor, finished):
    fork = fork_run(run=finished, at_seq=2, actor=actor, values={"n": 10})
    with driving():
        finish(fork)
    states = [state_at(fork, seq).values for seq in range(1, fork.seq + 1)]
    assert states == [{"n": 1}, {"n": 10}, {"n": 11}, {"n": 12}, {"n": 12}]
    assert execution_log(fork)[0] == "Started node: b"
    entry = AuditEntry.objects.get(action="run.forked")
    assert entry.object_id == str(fork.uuid)
    assert entry.data == {"run": str(finished.uuid), "seq": 2, "keys": ["n"]}


def test_a_fork_of_a_fork_goes_on(actor, finished):
    fork = fork_run(run=fork_run(run=finished, at_seq=2, actor=actor), at_seq=1, actor=actor)
    with driving():
        assert finish(fork).status == "completed"
    assert current_state(fork).values == {"n": 3}


def test_a_fork_at_the_last_event_of_a_completed_run_is_refused(actor, finished):
    with pytest.raises(ForkRefused, match="event 5: the run was completed"):
        fork_run(run=finished, at_seq=5, actor=actor)
    assert Run.objects.count() == 1


def test_a_paused_fork_calls_nothing_until_it_is_resumed(actor, finished):
    fork = fork_run(run=finished, at_seq=2, actor=actor, paused=True)
    assert rows(fork) == [("b", "waiting", 1)]

    def status() -> str:
        fork.refresh_from_db()
        return fork.status

    with driving():
        wait_until(lambda: status() == "paused", "it is paused")
        assert types(fork) == ["RunForked", "RunPaused"]
        again = fork_run(run=fork, at_seq=2, actor=actor, paused=False)
        assert finish(again).status == "completed"
        still = fork_run(run=fork, at_seq=2, actor=actor)
        wait_until(lambda: Run.objects.get(pk=still.pk).status == "paused", "it is paused as the other was")


def test_what_had_failed_is_tried_again_in_the_fork(actor):
    nodes = {"a": {"tool": "give", "inputs": {"value": {"out": "= 1 / x"}}}}
    with driving():
        failed = finish(start(actor, nodes, {"x": 0}))
        assert failed.status == "failed"
        fork = fork_run(run=failed, at_seq=failed.seq, actor=actor, values={"x": 2}, labels={"why": "mended"})
        assert finish(fork).status == "completed"
    assert current_state(fork).values == {"x": 2, "out": 0.5}
    assert fork.labels == {"why": "mended"}
    assert types(fork)[:3] == ["RunForked", "StateEdited", "RunReopened"]
    assert rows(fork) == [("a", "completed", 2)]
    failed.refresh_from_db()
    assert failed.status == "failed"


def test_a_conflict_must_be_edited_before_it_can_be_forked(actor):
    give = {"tool": "give", "next": "j"}
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {**give, "inputs": {"value": {"k": 1}}},
        "b": {**give, "inputs": {"value": {"k": 2}}},
        "j": {"join": "all"},
    }
    with driving():
        failed = finish(start(actor, nodes))
        with pytest.raises(ForkRefused, match="must be edited first"):
            fork_run(run=failed, at_seq=failed.seq, actor=actor)
        fork = fork_run(run=failed, at_seq=failed.seq, actor=actor, values={"k": 3})
        assert finish(fork).status == "completed"
    assert current_state(fork).values == {"k": 3}


def test_a_fork_that_only_lacked_an_edit_is_over_at_once(actor):
    give = {"tool": "give"}
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {**give, "inputs": {"value": {"k": 1}}},
        "b": {**give, "inputs": {"value": {"k": 2}}},
    }
    with driving():
        failed = finish(start(actor, nodes))
    fork = fork_run(run=failed, at_seq=failed.seq, actor=actor, values={"k": 3})
    assert (fork.status, fork.error, fork.wake_at) == ("completed", "", None)
    assert fork.finished_at is not None
    assert types(fork) == ["RunForked", "StateEdited", "RunReopened", "RunCompleted"]
    assert current_state(fork).values == {"k": 3}


def test_a_fork_may_go_on_with_another_version(actor, finished):
    nodes = {**LINE, "b": {"tool": "give", "inputs": {"value": {"n": 100}}, "next": "last"}, "last": LINE["c"]}
    del nodes["c"]
    draft = graphs.create_draft(graph=finished.version.graph, definition=definition(nodes), actor=actor)
    version = graphs.publish_version(version=draft, actor=actor)
    with pytest.raises(MigrationRefused, match="the new version calls something else"):
        fork_run(run=finished, at_seq=2, actor=actor, version=version)
    fork = fork_run(run=finished, at_seq=3, actor=actor, version=version, mapping={"c": "last"}, values={"n": 5})
    assert (fork.version, fork.begun_with) == (version, finished.version)
    assert rows(fork) == [("last", "running", 1)]
    with driving():
        assert finish(fork).status == "completed"
    assert current_state(fork).values == {"n": 6}
    assert verify_run(fork).differences == []
    again = fork_run(run=fork, at_seq=3, actor=actor)
    assert (again.version, again.begun_with) == (version, None)
    before = fork_run(run=fork, at_seq=1, actor=actor)
    assert before.version == finished.version
    with driving():
        assert finish(again).status == finish(before).status == "completed"


def test_a_fork_may_name_the_version_that_it_has(actor, finished):
    fork = fork_run(run=finished, at_seq=2, actor=actor, version=finished.version)
    with driving():
        finish(fork)
    assert (fork.status, current_state(fork).values) == ("completed", {"n": 3})
    assert verify_run(fork).differences == []


def test_what_waits_waits_on_in_the_fork(actor):
    moment = datetime.now(UTC) + timedelta(days=3)
    with driving():
        run = start(actor, {"w": {"wait": {"until": moment.isoformat()}}})
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it waits")
        fork = fork_run(run=run, at_seq=2, actor=actor)
        wait_until(lambda: Run.objects.get(pk=fork.pk).status == "waiting", "the fork waits, too")
        fork.refresh_from_db()
        assert fork.wake_at == moment
        cancel_run(run=fork, actor=actor)
        assert finish(fork).status == "cancelled"
    run.refresh_from_db()
    assert run.status == "waiting"


def test_people_are_asked_in_the_fork_as_well(actor):
    human = {"title": "Fine?", "assignees": {"users": ["owner"]}}
    with driving():
        run = start(actor, {"h": {"human": human, "next": "e"}, "e": {}})
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it waits")
        fork = fork_run(run=run, at_seq=2, actor=actor)
        tasks = [HumanTask.objects.get(run=one, status="open") for one in (run, fork)]
        assert tasks[0].uuid != tasks[1].uuid
        assert [(task.title, task.node) for task in tasks] == [("Fine?", "h")] * 2
        assert list(tasks[1].assignees.values_list("kind", "name")) == [("user", "owner")]
        answer_task(task=tasks[1], answer={"ok": True}, actor=actor)
        assert finish(fork).status == "completed"
        run.refresh_from_db()
        assert run.status == "waiting"
    assert verify_run(fork).differences == []


def test_maps_and_subgraphs_go_on_where_they_were(actor):
    child = graphs.create_graph(definition=definition({"x": {"next": "y"}, "y": LINE["c"]}), actor=actor)
    nodes = {
        "m": {"next": {"map": "= [1, 2]", "as": "item", "to": "w", "join": "j", "collect": {"out": "= n"}}},
        "w": {"graph": child.graph.slug, "inputs": {"n": "= item"}, "outputs": {"n": "= result.n"}, "next": "j"},
        "j": {},
    }
    with driving():
        run = finish(start(actor, nodes, {"n": 0}))
        assert run.status == "completed", run.error
        forks = [fork_run(run=run, at_seq=seq, actor=actor) for seq in range(1, run.seq - 1)]
        for fork in forks:
            assert finish(fork).status == "completed", (fork.fork_seq, fork.error)
            assert current_state(fork).values == {"n": 0, "out": [2, 3]}
            assert verify_run(fork).differences == []
            assert not Step.objects.filter(run=fork).exclude(status="completed").exists()


def test_a_tool_under_way_in_the_original_is_called_again_in_the_fork(actor):
    entered, opened = gate("fork")
    with driving():
        run = start(actor, {"a": {"tool": "wait_for", "inputs": {"name": "fork"}}})
        wait_until(entered.is_set, "the tool is under way")
        fork = fork_run(run=run, at_seq=1, actor=actor)
        opened.set()
        assert finish(run).status == finish(fork).status == "completed"
    assert current_state(fork).values == {"waited": True, "attempt": 1}


def test_the_snapshot_in_the_journal_is_what_the_run_is_folded_from(actor, finished):
    fork = fork_run(run=finished, at_seq=2, actor=actor)
    data = json.loads(Event.objects.get(run=fork, seq=1).data)
    assert data["snapshot"]["root"]["base"] == {"n": 1}
    assert (data["run"], data["seq"], data["actor"]) == (str(finished.uuid), 2, actor.name)
    assert [node for _, node, _ in data["scheduled"]] == ["b"]


@tool(name="forking.ask")
def ask_twice(ctx: Context) -> dict:
    """Asks two questions, one after the other."""
    return {"answers": [ctx.interrupt("One?")["n"], ctx.interrupt("Two?")["n"]]}


def test_a_tool_that_asks_goes_on_from_every_event(actor):
    def is_over(run: Run) -> bool:
        """Answer what is asked meanwhile."""
        for task in HumanTask.objects.filter(run=run, status="open"):
            answer_task(task=task, answer={"n": 1 if task.title == "One?" else 2}, actor=actor)
        run.refresh_from_db()
        return run.is_terminal

    with driving():
        run = start(actor, {"ask": {"tool": "forking.ask"}})
        wait_until(partial(is_over, run), "the run is over")
        asks = ["StepWaiting", "PartRecorded", "StepRescheduled"]
        assert types(run) == ["RunStarted", *asks, *asks, "StepCompleted", "RunCompleted"]
        forks = [fork_run(run=run, at_seq=seq, actor=actor) for seq in range(1, 8)]
        for fork in forks:
            wait_until(partial(is_over, fork), f"the fork at {fork.fork_seq} is over")
            assert (fork.status, current_state(fork).values) == ("completed", {"answers": [1, 2]})
            assert verify_run(fork).differences == []
    asked = {fork.fork_seq: list(fork.human_tasks.values_list("title", flat=True)) for fork in forks}
    assert asked[3] == asked[4] == asked[5] == ["Two?"]
    assert asked[6] == asked[7] == []


@pytest.mark.parametrize("goes_on_with", ["the same version", "another version"])
def test_an_edit_has_to_keep_the_schema_of_the_version_that_the_fork_goes_on_with(actor, goes_on_with):
    strict = {"schema": {"properties": {"n": {"type": "integer", "maximum": 9}}}}
    is_strict_from_the_start = goes_on_with == "the same version"
    with driving():
        run = finish(start(actor, LINE, {"n": 0}, state=strict if is_strict_from_the_start else {}))
    draft = graphs.create_draft(graph=run.version.graph, definition=definition(LINE, state=strict), actor=actor)
    version = None if is_strict_from_the_start else graphs.publish_version(version=draft, actor=actor)
    with pytest.raises(ControlInvalid) as refused:
        fork_run(run=run, at_seq=2, actor=actor, values={"n": 10}, version=version)
    assert [detail.path for detail in refused.value.details] == ["/values/n"]
    with pytest.raises(ControlInvalid, match="not both: n"):
        fork_run(run=run, at_seq=2, actor=actor, values={"n": 5}, delete=["n"])
    assert Run.objects.count() == 1
    assert fork_run(run=run, at_seq=2, actor=actor, values={"n": 9}, version=version).seq > 1
