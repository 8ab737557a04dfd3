"""Simulations in other orders, and with workers that die."""

import pytest

from runs.engine import simulate as package
from runs.engine.simulate import At, Diverged, Scripted, SimulationError, simulate, simulate_shuffled
from runs.engine.simulate.run import SimulatedRun

LOG = {"reducers": {"log": "append"}}

#        ┌─ b (3 s, fails once) ──┐
#   a ──<├─ c (signal) ── d (person) ──>── j(all): child ══ map, 2 at a time
#        └─ t (timer) ────────────┘
WORKS = {
    "name": "works",
    "start_node": "a",
    "state": LOG,
    "nodes": {
        "a": {"tool": "note", "next": ["b", "c", "t"]},
        "b": {"tool": "slow", "retry": {"max_attempts": 2}, "next": "j"},
        "c": {"wait": {"signal": "paid", "timeout_s": 99}, "outputs": {"paid": "= result.payload"}, "next": "d"},
        "d": {"human": {"title": "?"}, "next": "j"},
        "t": {"wait": {"seconds": 4}, "outputs": {}, "next": "j"},
        "j": {"join": "all", "graph": "child", "inputs": {"x": "= paid"}, "outputs": {"out": "= result.out"}},
    },
}
CHILD = {
    "name": "child",
    "start_node": "m",
    "limits": {"timeout_s": 1000},
    "nodes": {
        "m": {"next": {"map": "= [1, 2, 3]", "as": "i", "to": "w", "collect": {"out": "= n"}, "max_parallel": 2}},
        "w": {"tool": "multiply", "inputs": {"i": "= i"}, "next": "end"},
    },
}


def world(calls=None):
    def multiply(i, x):
        if calls is not None:
            calls.append(i)
        return {"n": i * x}

    return {
        "tools": {
            "note": lambda ctx: {"log": ctx.node},
            "slow": Scripted(returns={"log": "b"}, takes_s=3, fails=[ConnectionError("x")]),
            "multiply": Scripted(returns=multiply, takes_s=1),
        },
        "graphs": {"child": CHILD},
        "signals": [At(5, "paid", 7)],
        "answers": {"d": Scripted(returns={"log": "d"}, takes_s=60)},
    }


PLAIN = simulate(WORKS, **world())


def test_the_undisturbed_run_is_what_the_drawing_says():
    assert PLAIN.state == {"log": ["a", "b", "d"], "paid": 7, "out": [7, 14, 21]}
    assert PLAIN.duration_s == 5 + 60 + 2


@pytest.mark.parametrize("kill_at", range(1, len(PLAIN.events) + 1))
def test_a_worker_may_die_after_each_entry(kill_at):
    assert simulate(WORKS, **world(), kill_at=kill_at).meaning == PLAIN.meaning


def test_workers_may_die_all_the_time():
    killed = simulate(WORKS, **world(), kill_at="everywhere")
    assert killed.meaning == PLAIN.meaning
    assert killed.step("b").attempt > 2
    assert [step.ending for step in killed.attempts("b")].count("retried") == 1


def test_workers_may_die_several_times():
    killed = simulate(WORKS, **world(), kill_at=[7, 2, 3])
    assert killed.meaning == PLAIN.meaning
    assert [type(event).__name__ for event in killed.events].count("StepRescheduled") >= 2


def test_what_was_under_way_runs_again_as_the_next_attempt_and_what_has_completed_does_not():
    calls = []
    entries = next(number for number, event in enumerate(PLAIN.events, 1) if getattr(event, "items", None))
    simulate(WORKS, **world(calls), kill_at=entries)
    assert sorted(calls) == [1, 1, 2, 2, 3]


def test_a_death_that_never_comes_is_told():
    with pytest.raises(SimulationError, match="after entry 99"):
        simulate(WORKS, **world(), kill_at=[1, 99])


def test_the_order_does_not_matter():
    assert simulate_shuffled(WORKS, **world(), orders=10).meaning == PLAIN.meaning
    assert simulate_shuffled(WORKS, **world(), orders=10, kill_at="everywhere").steps == PLAIN.steps


RACE = {
    "name": "race",
    "start_node": "s",
    "state": LOG,
    "nodes": {
        "s": {"next": ["a", "b"]},
        "a": {"tool": "note", "next": "j"},
        "b": {"tool": "note", "next": "j"},
        "j": {"join": "any"},
    },
}


def test_an_order_that_matters_is_told():
    with pytest.raises(Diverged, match=r"(?s)order=\d+ other state and steps come out.*became"):
        simulate_shuffled(RACE, tools={"note": lambda ctx: {"log": ctx.node}})


def test_an_order_is_the_same_each_time():
    script = {"note": lambda ctx: {"log": ctx.node}}
    logs = [simulate(RACE, tools=script, order=order).state["log"] for order in range(8)]
    assert logs == [simulate(RACE, tools=script, order=order).state["log"] for order in range(8)]
    assert {tuple(log) for log in logs} == {("a",), ("b",)}


def test_a_fold_that_is_not_the_state_is_told(monkeypatch):
    monkeypatch.setattr("runs.engine.simulate.run.replay", lambda *_: None)
    with pytest.raises(Diverged, match="first 1 entries"):
        simulate(RACE, tools={"note": {}}, kill_at=1)


def test_a_completed_step_that_would_run_again_is_told(monkeypatch):
    begin = SimulatedRun._begin

    def begin_twice(run, start):
        run._completed.add(start.step)
        begin(run, start)

    monkeypatch.setattr(SimulatedRun, "_begin", begin_twice)
    with pytest.raises(Diverged, match='"s" has completed'):
        simulate(RACE, tools={"note": {}})


def test_the_package_tells_what_it_has():
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
