"""`ctx.step` and `ctx.interrupt` in a real driver."""

import asyncio
import json

import pytest

from graphs import services as graphs
from runs.control import cancel_run
from runs.human_tasks import answer_task, delegate_task
from runs.models import Event, HumanTask, Run, Step, StepError
from runs.selectors import current_state
from runs.services import wake_drivers
from runs.store.mail import post
from tests.conftest import acting
from tests.support import process_tools, tools
from tests.support.processes import database_url
from tests.support.runs import definition, driving, finish, is_waiting, start
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"max_attempts": 3, "initial_interval_s": 0.01, "jitter": False}
calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def note(what: str):
    calls.append(what)
    return what


def is_on_disk(ctx: Context, name: str) -> bool:
    """Seen from another connection than the driver's, without waiting."""
    return Event.objects.filter(run__uuid=ctx.run_id, type="PartRecorded", data__contains=f'"name":"{name}"').exists()


@tool(name="parts.two")
def two_parts(ctx: Context, fails: int = 0) -> dict:
    """Two steps, and failures between them."""
    first = ctx.step("first", note, "a")
    durable = is_on_disk(ctx, "first")
    if ctx.attempt <= fails:
        raise ValueError("between")
    return {"first": first, "second": ctx.step("second", note, "b"), "durable": durable, "attempt": ctx.attempt}


@tool(name="parts.two_async")
async def two_parts_async(ctx: Context, fails: int = 0) -> dict:
    async def later(what: str) -> str:
        await asyncio.sleep(0)
        return note(what)

    first = await ctx.step("first", later, "a")
    durable = await asyncio.to_thread(is_on_disk, ctx, "first")
    if ctx.attempt <= fails:
        raise ValueError("between")
    return {"first": first, "second": await ctx.step("second", note, "b"), "durable": durable, "attempt": ctx.attempt}


@tool(name="parts.loop")
def loop(ctx: Context, times: int) -> dict:
    return {"n": sum(ctx.step(f"part-{number}", lambda: 1) for number in range(times))}


@tool(name="parts.give")
def give_part(ctx: Context, value) -> dict:
    return {"size": len(ctx.step("it", lambda: value))}


@tool(name="parts.wait")
def wait_in_part(ctx: Context, name: str) -> dict:
    """Ends a step after nobody waits for the tool any more."""

    def wait() -> str:
        tools.entered[name].set()
        tools.gates[name].wait(10)
        return "late"

    try:
        ctx.step("late", wait)
    except BaseException as error:
        note(type(error).__name__)
        raise
    return {}


def state_of(run: Run) -> dict:
    return current_state(run).values


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


# --------------------------------------------------------------------------- steps


@pytest.mark.parametrize("name", ["parts.two", "parts.two_async"])
def test_a_retry_does_not_repeat_the_steps_that_are_recorded(actor, name):
    with driving():
        run = finish(start(actor, {"a": {"tool": name, "inputs": {"fails": 2}, "retry": QUICK}}))
    assert state_of(run) == {"first": "a", "second": "b", "durable": True, "attempt": 3}
    assert calls == ["a", "b"]
    assert types(run).count("PartRecorded") == 2
    assert_as_journaled(run)


@pytest.mark.parametrize("durability", ["async", "exit"])
def test_other_durabilities_do_not_wait_for_the_disk(actor, durability):
    with driving():
        run = finish(start(actor, {"a": {"tool": "parts.loop", "inputs": {"times": 20}}}, durability=durability))
    assert state_of(run) == {"n": 20}
    assert types(run).count("PartRecorded") == 20


def test_a_step_has_as_many_parts_as_the_setting_says(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_step_parts": 3})
    with driving():
        enough = finish(start(actor, {"a": {"tool": "parts.loop", "inputs": {"times": 3}}}))
        too_many = finish(start(actor, {"a": {"tool": "parts.loop", "inputs": {"times": 4}, "retry": QUICK}}))
    assert (enough.status, too_many.status) == ("completed", "failed")
    assert [error.type for error in StepError.objects.filter(run=too_many)] == ["PartInvalid"], "a retry is no use"


def test_a_part_is_as_large_as_an_update(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_update_bytes": 1000})
    with driving():
        small = finish(start(actor, {"a": {"tool": "parts.give", "outputs": {}}}, {"value": "x" * 998}))
        large = finish(start(actor, {"a": {"tool": "parts.give", "outputs": {}}}, {"value": "x" * 999}))
    assert (small.status, large.status) == ("completed", "failed")
    assert StepError.objects.get(run=large).type == "JsonInvalid"


def test_a_plain_function_on_the_loop_is_refused_rather_than_stuck(actor):
    with driving():
        run = finish(start(actor, {"a": {"tool": "parts.two", "executor": "inline"}}))
    assert "would hold up the loop" in StepError.objects.get(run=run).message


@pytest.mark.parametrize("end", ["cancel", "timeout"])
def test_a_tool_that_nobody_waits_for_ends_at_its_next_record(actor, end):
    entered, gate = tools.gate("late")
    node = {"tool": "parts.wait", "inputs": {"name": "late"}, "timeout_s": 0.1 if end == "timeout" else 60}
    with driving():
        run = start(actor, {"a": node})
        entered.wait(10)
        if end == "cancel":
            cancel_run(run=run, actor=actor)
        finish(run)
        gate.set()
        wait_until(lambda: calls == ["NotWanted"], "the tool has ended")
    assert "PartRecorded" not in types(run)


def test_another_driver_goes_on_with_what_was_recorded(actor):
    """The first one stops in the middle of the second part."""
    entered, gate = tools.gate("second")
    nodes = {"a": {"tool": "parts.stop", "inputs": {"name": "second"}}}
    with driving() as stop:
        run = start(actor, nodes)
        assert entered.wait(10)
        stop.set()
    assert types(run) == ["RunStarted", "PartRecorded", "StepRescheduled"]
    gate.set()
    with driving():
        finish(run)
    assert calls == ["a", "b", "b"]
    assert state_of(run) == {"v": ["a", "b"]}
    assert_as_journaled(run)


@tool(name="parts.stop")
def stop_in_second(ctx: Context, name: str) -> dict:
    def second() -> str:
        note("b")
        tools.entered[name].set()
        while not tools.gates[name].wait(0.01) and not ctx.cancelled:
            pass
        return "b"

    return {"v": [ctx.step("first", note, "a"), ctx.step("second", second)]}


# --------------------------------------------------------------------------- interrupts


FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@tool(name="parts.ask")
def ask(ctx: Context, title: str = "Ship it?", options: dict | None = None) -> dict:
    note("called")
    draft = ctx.step("draft", note, "drafted")
    try:
        answer = ctx.interrupt(title, FORM, **(options or {}))
    except Exception:
        note("swallowed")
        raise
    return {"draft": draft, "answer": answer, "attempt": ctx.attempt}


@tool(name="parts.ask_async")
async def ask_async(ctx: Context) -> dict:
    note("called")
    draft = await ctx.step("draft", note, "drafted")
    return {"draft": draft, "answer": ctx.interrupt("Ship it?", FORM), "attempt": ctx.attempt}


@tool(name="parts.ask_thrice")
def ask_thrice(ctx: Context) -> dict:
    answers = []
    for number in range(3):
        ctx.step(f"before-{number}", note, number)
        answers.append(ctx.interrupt(f"Question {number}", {"type": "integer"}))
    return {"answers": answers}


def task_of(run: Run) -> HumanTask:
    """The open task of a run that has left memory."""
    wait_until(
        lambda: is_waiting(run) and HumanTask.objects.filter(run=run, status="open").exists(), "people are asked"
    )
    return HumanTask.objects.get(run=run, status="open")


@pytest.mark.parametrize("name", ["parts.ask", "parts.ask_async"])
def test_a_tool_asks_people_and_goes_on_with_their_answer(actor, name):
    with driving():
        run = start(actor, {"a": {"tool": name, "next": "b"}, "b": {}})
        task = task_of(run)
        assert (task.title, task.node, json.loads(task.form)) == ("Ship it?", "a", FORM)
        assert Step.objects.get(run=run).status == Step.Status.WAITING
        answer_task(task=task, answer={"ok": True}, actor=actor)
        finish(run)
    assert state_of(run) == {"draft": "drafted", "answer": {"ok": True}, "attempt": 2}
    assert calls == ["called", "drafted", "called"]
    assert types(run)[:5] == ["RunStarted", "PartRecorded", "StepWaiting", "PartRecorded", "StepRescheduled"]
    answered = Event.objects.filter(run=run, type="PartRecorded").last()
    assert json.loads(answered.data)["actor"] == "owner"
    assert not StepError.objects.exists()
    assert_as_journaled(run)


def test_several_questions_come_one_after_the_other_and_repeat_nothing(actor):
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask_thrice"}})
        for number in range(3):
            task = task_of(run)
            assert task.title == f"Question {number}"
            answer_task(task=task, answer=number * 10, actor=actor)
        finish(run)
    assert state_of(run) == {"answers": [0, 10, 20]}
    assert calls == [0, 1, 2]
    assert_as_journaled(run)


def test_an_answer_that_comes_while_no_driver_is_there_is_taken_in_by_the_next(actor):
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask"}})
        task = task_of(run)
    answer_task(task=task, answer={"ok": False}, actor=actor)
    with driving():
        finish(run)
    assert state_of(run)["answer"] == {"ok": False}
    assert calls == ["called", "drafted", "called"]


def test_two_branches_ask_at_once_and_each_answer_calls_its_own_tool(actor):
    nodes = {
        "s": {"next": ["l", "r"]},
        "l": {"tool": "parts.ask", "inputs": {"title": "left"}, "outputs": {"l": "= result.answer.ok"}, "next": "j"},
        "r": {"tool": "parts.ask", "inputs": {"title": "right"}, "outputs": {"r": "= result.answer.ok"}, "next": "j"},
        "j": {"join": "all"},
    }
    with driving():
        run = start(actor, nodes)
        wait_until(lambda: HumanTask.objects.filter(run=run).count() == 2 and is_waiting(run), "both ask")
        answer_task(task=HumanTask.objects.get(title="right"), answer={"ok": False}, actor=actor)
        wait_until(lambda: Step.objects.filter(run=run, node="r", status="completed").exists(), "the right one is over")
        assert calls.count("called") == 3
        answer_task(task=HumanTask.objects.get(title="left"), answer={"ok": True}, actor=actor)
        finish(run)
    assert state_of(run) == {"l": True, "r": False}
    assert calls.count("called") == 4


def test_a_quorum_gives_the_tool_all_answers(actor, operator, editor):
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask", "inputs": {"options": {"quorum": 2}}}})
        task = task_of(run)
        for user in (operator, editor):
            answer_task(task=task, answer={"ok": True}, actor=acting(user))
        finish(run)
    assert [(one["by"], one["answer"]) for one in state_of(run)["answer"]] == [
        ("operator", {"ok": True}),
        ("editor", {"ok": True}),
    ]


def test_a_question_that_nobody_answers_in_time_has_its_default(actor):
    options = {"due_s": 0.2, "default": {"ok": False}}
    with driving():
        run = finish(start(actor, {"a": {"tool": "parts.ask", "inputs": {"options": options}}}))
    assert state_of(run)["answer"] == {"ok": False}
    assert HumanTask.objects.get().status == "expired"
    assert_as_journaled(run)


def test_a_question_is_for_whom_it_names_and_can_be_handed_on(actor, editor, viewer):
    options = {"assignees": {"users": ["editor"]}}
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask", "inputs": {"options": options}}})
        task = task_of(run)
        delegate_task(task=task, to={"users": ["viewer"]}, actor=acting(editor))
        answer_task(task=task, answer={"ok": True}, actor=acting(viewer))
        finish(run)
    assert run.status == "completed"
    assert HumanTask.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"assignees": {"people": ["ada"]}}, "/assignees/people"),
        ({"quorum": 0}, "/quorum"),
        ({"default": 1}, '"on_due" needs "due_s"'),
    ],
)
def test_a_question_that_is_none_fails_the_step_for_good(actor, options, complaint):
    with driving():
        run = finish(start(actor, {"a": {"tool": "parts.ask", "inputs": {"options": options}, "retry": QUICK}}))
    error = StepError.objects.get(run=run)
    assert error.type == "PartInvalid"
    assert complaint in error.message
    assert not HumanTask.objects.exists()


@tool(name="parts.ask_about")
def ask_about(ctx: Context, token: str) -> dict:
    """Has a secret in every part of its question that people see."""
    form = {
        "type": "object",
        "title": f"Form of {token}",
        "properties": {
            "title": {"type": "string", "description": f"Why {token}?", "default": token, "enum": [token, "public"]},
            "more": {"type": "array", "items": {"anyOf": [{"const": [token]}, {"examples": [{"x": token}]}]}},
        },
        "required": ["title"],
    }
    answer = ctx.interrupt(f"Use {token}?", form, instructions=f"It is {token}.", due_s=0.2, default=token)
    return {"is_default": answer == token}


@pytest.mark.parametrize("inside", [False, True], ids=["run", "subgraph"])
def test_a_secret_in_a_question_is_not_shown_to_who_is_asked(actor, api_client, inside):
    nodes, initial = {"a": {"tool": "parts.ask_about"}}, {"token": "canary-bird"}
    state = {"schema": {"properties": {"token": {"type": "string", "format": "password"}}}}
    if inside:
        child = graphs.create_graph(definition=definition(nodes, state=state), actor=actor)
        call = {
            "graph": child.graph.slug,
            "inputs": {"token": "= token"},
            "outputs": {"is_default": "= result.is_default"},
        }
        nodes, state = {"c": call}, {}
    with driving():
        run = finish(start(actor, nodes, initial, state=state))
    assert run.status == "completed", run.error
    task = HumanTask.objects.get(run=run)
    assert (task.title, task.instructions) == ("Use [redacted]?", "It is [redacted].")
    hidden, word = "[redacted]", json.loads(task.form)["properties"]["title"]
    assert word == {"type": "string", "description": f"Why {hidden}?", "default": hidden, "enum": [hidden, "public"]}
    assert "canary" not in task.form
    assert "canary" not in Event.objects.get(run=run, type="StepWaiting").data.replace('"answer":"canary-bird"', "")
    for path in (f"/api/v1/tasks/{task.uuid}/", f"/tasks/{task.uuid}/"):
        assert "canary" not in api_client.get(path).content.decode()
    assert state_of(run)["is_default"], "what the tool gets is what it has given"


@tool(name="parts.name")
def name_parts(ctx: Context, token: str) -> dict:
    """Parts whose names tell a secret, and differ by nothing else."""
    given = [ctx.step(f"charge {token}{number}", note, number) for number in (1, 2)]
    ctx.interrupt("Is that so?", name=f"ask {token}", due_s=0.2, default=True)
    return {"given": given, "attempt": ctx.attempt}


@pytest.mark.parametrize("inside", [False, True], ids=["run", "subgraph"])
def test_a_secret_in_the_name_of_a_part_is_not_shown_and_finds_the_part_again(actor, api_client, inside):
    nodes, initial = {"a": {"tool": "parts.name"}}, {"token": "canary-bird"}
    state = {"schema": {"properties": {"token": {"type": "string", "format": "password"}}}}
    if inside:
        child = graphs.create_graph(definition=definition(nodes, state=state), actor=actor)
        call = {"graph": child.graph.slug, "inputs": {"token": "= token"}, "outputs": {"attempt": "= result.attempt"}}
        nodes, state = {"c": call}, {}
    with driving():
        run = finish(start(actor, nodes, initial, state=state))
    assert (run.status, state_of(run)["attempt"], calls) == ("completed", 2, [1, 2]), run.error
    entries = api_client.get(f"/api/v1/runs/{run.uuid}/events/").json()["results"]
    parts = [entry for entry in entries if entry["type"] == "PartRecorded"]
    assert [part["data"]["name"] for part in parts] == ["charge [redacted]1", "charge [redacted]2", "ask [redacted]"]
    assert parts[0]["message"].endswith(": charge [redacted]1")
    shown = [entry for entry in entries if entry["type"] not in ("RunStarted", "ChildStarted")]
    assert "canary" not in json.dumps(shown)
    assert_as_journaled(run)


def test_cancelling_closes_the_question(actor):
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask"}})
        task_of(run)
        cancel_run(run=run, actor=actor)
        finish(run)
    assert HumanTask.objects.get().status == "cancelled"


def test_in_a_paused_run_the_answer_is_kept_and_the_tool_is_called_when_it_goes_on(actor):
    with driving():
        run = start(actor, {"a": {"tool": "parts.ask"}})
        task = task_of(run)
        send(run, actor, "pause", {"reason": "lunch"})
        wait_until(lambda: "RunPaused" in types(run), "it is paused")
        answer_task(task=task, answer={"ok": True}, actor=actor)
        wait_until(lambda: "StepRescheduled" in types(run), "the answer is taken in")
        assert calls == ["called", "drafted"]
        send(run, actor, "resume", {})
        finish(run)
    assert state_of(run)["answer"] == {"ok": True}


def send(run: Run, actor, kind: str, payload: dict) -> None:
    post(run, kind=kind, payload=payload, actor=actor)
    wake_drivers()


# --------------------------------------------------------------------------- in processes


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setenv("WORKFLOW_TOOL_MODULES", process_tools.__name__)
    monkeypatch.setenv("SECRET_KEY", settings.SECRET_KEY)
    monkeypatch.setenv("DATABASE_URL", database_url())


@pytest.mark.parametrize("name", ["parts_in_process", "parts_in_process_async"])
def test_a_tool_in_a_process_records_and_asks_too(actor, processes, tmp_path, name):
    inputs = {"path": str(tmp_path / "calls")}
    with driving():
        run = start(actor, {"a": {"tool": name, "executor": "process", "inputs": inputs, "retry": QUICK}})
        answer_task(task=task_of(run), answer="yes", actor=actor)
        finish(run)
    assert state_of(run) == {"first": ["a", 1], "answer": "yes", "attempt": 3}
    assert (tmp_path / "calls").read_text() == "a"
    assert_as_journaled(run)
