"""A simulation that is asked for nonsense says so."""

from typing import Any

import pytest

from runs.engine.simulate import At, Scripted, SimulationError, simulate

GRAPH = {
    "name": "g",
    "start_node": "work",
    "nodes": {
        "work": {"tool": "work", "next": "ask"},
        "ask": {"human": {"title": "?"}, "next": "paid"},
        "paid": {"wait": {"signal": "paid"}},
    },
}
SCRIPTS: dict[str, Any] = {"tools": {"work": {}}, "answers": {"ask": {}}, "signals": [At(1, "paid")]}


def test_the_scenario_itself_makes_sense() -> None:
    assert simulate(GRAPH, **SCRIPTS).status == "completed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tools": {"work": {}, "wrok": {}}}, 'The graph has no tool "wrok". Did you mean "work"?'),
        ({"answers": {"aks": {}}}, 'The graph has no human node "aks". Did you mean "ask"?'),
        ({"answers": {"work": {}}}, 'The graph has no human node "work". There are "ask".'),
        ({"signals": [At(1, "payed")]}, 'The graph has no wait for a signal "payed". Did you mean "paid"?'),
        ({"signals": ["paid"]}, "A signal is given as At"),
        ({"kill_at": "everywere"}, 'kill_at names entries of the journal from 1, or "everywhere", not'),
        ({"kill_at": 0}, "kill_at names entries"),
        ({"kill_at": ["x"]}, "kill_at names entries"),
        ({"tools": {"work": Scripted(fails=["x"])}}, 'What "work" fails with is an exception or None'),
        ({"tools": ["work"]}, "tools is an object by name"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(GRAPH, **{**SCRIPTS, **options})
    assert message in str(caught.value)


@pytest.mark.parametrize("state", [[1], [], "x", 0])
def test_a_state_that_is_no_object_is_refused(state: Any) -> None:
    with pytest.raises(SimulationError, match="The state is an object"):
        simulate(GRAPH, state, **SCRIPTS)


def test_what_a_tool_asks_may_have_any_name() -> None:
    asking = {"work": lambda ctx: ctx.interrupt("Sure?", name="sure")}
    answers = {"sure": {"ok": True}, "ask": {}}
    assert simulate(GRAPH, **{**SCRIPTS, "tools": asking, "answers": answers}).state == {"ok": True}
