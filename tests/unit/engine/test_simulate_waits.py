"""Steps that wait, in a simulation: for times, signals and people."""

from datetime import UTC, datetime

import pytest

from runs.engine.simulate import AnswerRefused, At, Scripted, simulate


def waiting(wait, **node):
    return {"name": "graph", "start_node": "a", "nodes": {"a": {"wait": wait, **node}, "b": {}, "c": {}}}


def asking(human, **node):
    return {"name": "graph", "start_node": "a", "nodes": {"a": {"human": {"title": "?", **human}, **node}, "b": {}}}


# --------------------------------------------------------------------------- times


def test_a_timer_takes_virtual_time_only():
    assert simulate(waiting({"seconds": 86_400 * 30})).duration_s == 86_400 * 30
    assert simulate(waiting({"seconds": "= pause"}), {"pause": 5}).duration_s == 5


def test_a_wait_until_a_moment_is_relative_to_the_start():
    result = simulate(waiting({"until": "2026-12-24T18:00:00+01:00"}), starts_at=datetime(2026, 12, 24, 16, tzinfo=UTC))
    assert result.duration_s == 3600
    assert result.step("a").gave == {"at": "2026-12-24T17:00:00+00:00"}


def test_a_moment_that_is_past_is_no_wait():
    result = simulate(waiting({"until": "= due"}), {"due": "2020-01-01T00:00:00Z"})
    assert (result.status, result.duration_s) == ("completed", 0)


@pytest.mark.parametrize(
    ("wait", "type_"),
    [
        ({"seconds": "= due"}, "WaitInvalid"),
        ({"seconds": "= -1"}, "WaitInvalid"),
        ({"until": "= due"}, "WaitInvalid"),
        ({"until": "= 5"}, "WaitInvalid"),
        ({"until": "= nowhere"}, "ExpressionError"),
    ],
)
def test_a_time_that_is_none_fails_the_step(wait, type_):
    [error] = simulate(waiting(wait), {"due": "2020-01-01T00:00:00"}).errors
    assert error.type == type_


# --------------------------------------------------------------------------- signals


def test_a_signal_ends_a_wait_and_its_payload_is_the_update():
    nodes = {"a": {"wait": {"signal": "paid"}, "next": "b"}, "b": {"wait": {"signal": "other"}, "outputs": {}}}
    definition = {"name": "graph", "start_node": "a", "nodes": nodes}
    result = simulate(definition, signals=[At(5, "other"), At(7, "paid", {"amount": 3})])
    assert (result.state, result.step("a").ended_at_s, result.duration_s) == ({"amount": 3}, 7, 7)
    result = simulate(waiting({"signal": "paid"}, outputs={"n": "= result.payload"}), signals=[At(7, "paid", 3)])
    assert result.state == {"n": 3}
    assert simulate(waiting({"signal": "paid"}), signals=[At(7, "paid", 3)]).state == {}


def test_a_signal_that_comes_early_is_kept_and_taken_once():
    nodes = {
        "s": {"wait": {"seconds": 10}, "next": "a"},
        "a": {"wait": {"signal": "paid"}, "next": "b"},
        "b": {"wait": {"signal": "paid"}},
    }
    definition = {"name": "graph", "start_node": "s", "nodes": nodes}
    result = simulate(definition, signals=[At(1, "paid")])
    assert (result.status, result.waits_at, result.duration_s) == ("waiting", ["b"], 10)
    result = simulate(definition, signals=[At(1, "paid"), At(2, "paid")])
    assert (result.status, result.duration_s) == ("completed", 10)


def test_the_step_that_waits_longest_gets_the_signal():
    nodes = {"s": {"next": ["a", "b"]}, "a": {"wait": {"signal": "go"}}, "b": {"wait": {"signal": "go"}}}
    result = simulate({"name": "graph", "start_node": "s", "nodes": nodes}, signals=[At(1, "go")])
    assert (result.ran, result.waits_at) == (["s", "a"], ["b"])


def test_a_wait_for_a_signal_may_time_out():
    wait = {"signal": "paid", "timeout_s": 60}
    late = [At(61, "paid")]
    result = simulate(waiting({**wait, "on_timeout": "c"}, next="b"), signals=late)
    assert (result.ran, result.duration_s) == (["a", "c"], 60)
    result = simulate(waiting({**wait, "on_timeout": "c"}, next="b"), signals=[At(60, "paid")])
    assert result.ran == ["a", "b"]
    [error] = simulate(waiting(wait), signals=late).errors
    assert (error.type, error.message) == ("TimeoutError", "Nothing came within the timeout_s of 60 s.")
    assert simulate(waiting(wait, on_error=[{"match": "TimeoutError", "to": "b"}]), signals=late).ran == ["b"]


def test_of_several_the_first_wins():
    wait = {"any": [{"signal": "paid", "next": "b"}, {"seconds": 60, "next": "c"}, {"signal": "dropped"}]}
    result = simulate(waiting(wait), signals=[At(5, "paid", {"n": 1})])
    assert (result.ran, result.state) == (["a", "b"], {"n": 1})
    assert result.step("a").gave == {"name": "paid", "payload": {"n": 1}, "fired": 0}
    result = simulate(waiting(wait), signals=[At(61, "paid")])
    assert (result.ran, result.duration_s) == (["a", "c"], 60)
    result = simulate(waiting(wait), signals=[At(5, "dropped")])
    assert (result.ran, result.duration_s) == (["a"], 5)


def test_a_wait_that_leads_elsewhere_opens_no_map():
    wait = {"signal": "go", "timeout_s": 5, "on_timeout": "c"}
    mapped = {"map": "= items", "as": "i", "to": "b", "join": "c", "collect": {"out": "= i"}}
    assert simulate(waiting(wait, next=mapped), {"items": [1, 2]}).ran == ["a", "c"]
    result = simulate(waiting(wait, next=mapped), {"items": [1, 2]}, signals=[At(1, "go")])
    assert result.state["out"] == [1, 2]


# --------------------------------------------------------------------------- people


def test_an_answer_is_the_update_of_a_human_node():
    result = simulate(asking({}), answers={"a": {"ok": True}})
    assert (result.status, result.state) == ("completed", {"ok": True})
    result = simulate(asking({}, outputs={"said": "= result"}), answers={"a": "yes"})
    assert result.state == {"said": {"answer": "yes", "by": "person 1", "at": "2030-01-01T00:00:00+00:00"}}
    assert result.step("a").gave == "yes"
    assert simulate(asking({}), answers={"a": "yes"}).state == {}


def test_an_answer_may_be_computed_and_take_its_time():
    script = Scripted(returns=lambda amount: {"ok": amount < 100}, takes_s=3600)
    result = simulate(asking({}), {"amount": 5}, answers={"a": script})
    assert (result.state["ok"], result.duration_s) == (True, 3600)


def test_answers_inside_a_map_may_look_at_the_item():
    nodes = {
        "m": {"next": {"map": "= items", "as": "item", "to": "q", "join": "e", "collect": {"out": "= ok"}}},
        "q": {"human": {"title": "?"}, "next": "e"},
        "e": {},
    }
    definition = {"name": "graph", "start_node": "m", "nodes": nodes}
    result = simulate(definition, {"items": [1, 2]}, answers={"q": lambda item, index: {"ok": [item, index]}})
    assert result.state["out"] == [[1, 0], [2, 1]]


def test_a_question_that_nobody_answers_stays_open():
    result = simulate(asking({}))
    assert (result.status, result.waits_at, result.step("a").ended_at_s) == ("waiting", ["a"], None)
    assert simulate(asking({}), answers={"a": lambda: None}).status == "waiting"
    assert simulate(asking({"due_s": 60})).status == "waiting"
    assert "a #1 open" in str(result)


def test_a_question_that_is_due_leads_on():
    late = {"a": Scripted(returns={"ok": True}, takes_s=61)}
    result = simulate(asking({"due_s": 60, "on_due": "b"}), answers=late)
    assert (result.ran, result.state, result.duration_s) == (["a", "b"], {}, 60)
    result = simulate(asking({"due_s": 60, "on_due": {"answer": {"ok": False}}}), answers=late)
    assert (result.ran, result.state) == (["a"], {"ok": False})
    in_time = {"a": Scripted(returns={"ok": True}, takes_s=60)}
    assert simulate(asking({"due_s": 61, "on_due": "b"}), answers=in_time).ran == ["a"]


def test_an_answer_that_does_not_fit_the_form_is_refused():
    definition = asking({"form": {"required": ["ok"]}})
    assert simulate(definition, answers={"a": {"ok": True}}).status == "completed"
    with pytest.raises(AnswerRefused, match="'ok' is a required property"):
        simulate(definition, answers={"a": {"fine": True}})


def test_a_mistake_in_the_script_of_an_answer_is_raised():
    with pytest.raises(ZeroDivisionError):
        simulate(asking({}), answers={"a": lambda: 1 / 0})


# --------------------------------------------------------------------------- inside a tool


def publishing(calls, **question):
    def publish(ctx):
        draft = ctx.step("draft", lambda: calls.append("drafted") or "draft")
        answers = [ctx.interrupt("Publish?", **question), ctx.interrupt("Where?", {"type": "string"}, name="where")]
        return {"draft": draft, "answers": answers, "attempt": ctx.attempt}

    return publish


TOOL = {"name": "graph", "start_node": "a", "nodes": {"a": {"tool": "publish"}}}


@pytest.mark.parametrize("kill_at", [(), "everywhere"])
def test_a_tool_asks_and_repeats_no_step(kill_at):
    calls = []
    answers = {"a": Scripted(returns={"ok": True}, takes_s=60), "where": Scripted(returns="here", takes_s=5)}
    result = simulate(TOOL, tools={"publish": publishing(calls)}, answers=answers, kill_at=kill_at)
    assert result.state["answers"] == [{"ok": True}, "here"]
    assert (result.status, result.duration_s, calls) == ("completed", 65, ["drafted"])


def test_a_question_of_a_tool_waits_or_has_its_default():
    result = simulate(TOOL, tools={"publish": publishing([])})
    assert (result.status, result.waits_at) == ("waiting", ["a"])
    question = {"due_s": 60, "default": None}
    result = simulate(TOOL, tools={"publish": publishing([], **question)}, answers={"where": "here"})
    assert (result.state["answers"], result.duration_s) == ([None, "here"], 60)


def test_the_answer_to_a_tool_must_fit_its_form():
    with pytest.raises(AnswerRefused, match="The answer 7"):
        simulate(TOOL, tools={"publish": publishing([])}, answers={"a": {}, "where": 7})


def test_a_quorum_inside_a_tool_is_answered_by_each():
    result = simulate(TOOL, tools={"publish": publishing([], quorum=2)}, answers={"a": [{}, {"n": 1}], "where": "here"})
    asked = [{"answer": {}, "by": "person 1"}, {"answer": {"n": 1}, "by": "person 2"}]
    assert [{key: one[key] for key in ("answer", "by")} for one in result.state["answers"][0]] == asked


def test_a_question_that_is_none_fails_the_step():
    [error] = simulate(TOOL, tools={"publish": publishing([], assignees={"people": ["ada"]})}).errors
    assert error.type == "PartInvalid"
