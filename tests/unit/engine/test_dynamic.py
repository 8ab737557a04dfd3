"""Tools that choose where to go, and what they send there (rules R2, R4)."""

from __future__ import annotations

import json

from runs.engine import Returned, dump_state, load_state
from tests.unit.engine.driving import Run

# s -> w (any number of times) -> j (all) -> end
SENDING = {
    "s": {"next": {"dynamic": ["w", "j", "end"]}},
    "w": {"next": "j"},
    "j": {"join": "all"},
}


def sending(*payloads: dict[str, int] | None, to: str = "w") -> Run:
    run = Run(SENDING, state={"n": 0})
    run.give("s", goto=(to,) * len(payloads), payloads=payloads)
    return run


def test_a_send_is_seen_on_top_of_the_state_by_the_step_it_goes_to_and_by_no_other():
    run = sending({"n": 1}, {"n": 2}, None)
    for _ in range(3):
        run.give("w", {"log": run.seen("w")["n"]})
    assert run.seen("j") == {"n": 0, "log": [1, 2, 0]}


def test_a_single_target_gets_what_is_sent_to_it():
    run = sending({"n": 7, "more": 1})
    assert run.seen("w") == {"n": 7, "more": 1}
    run.give("w")
    assert run.seen("j") == {"n": 0}


def test_what_is_sent_to_a_join_is_lost_there():
    assert sending({"n": 7}, to="j").seen("j") == {"n": 0}


def test_a_route_that_follows_a_send_may_test_what_was_sent():
    choice = {"condition": "n > 5", "if_true": "big", "if_false": "end"}
    run = Run({"s": {"next": {"dynamic": ["w"]}}, "w": {"next": choice}, "big": {}}, state={"n": 0})
    run.give("s", goto=("w",), payloads=({"n": 7},))
    run.give("w")
    assert run.nodes == ["big"]
    assert run.seen("big") == {"n": 0}


def test_an_error_handler_does_not_see_what_was_sent_to_the_step_that_failed():
    run = Run({"s": {"next": {"dynamic": ["w"]}}, "w": {"on_error": "h"}, "h": {}}, state={"n": 0})
    run.give("s", goto=("w",), payloads=({"n": 7},))
    run.fail("w")
    assert run.seen("h")["n"] == 0


def test_a_snapshot_keeps_what_is_sent():
    run = sending({"n": 1}, None)
    state = load_state(run.plan, json.loads(json.dumps(dump_state(run.state))))
    assert sorted(branch.payload["n"] for branch in state.branches.values() if branch.payload) == [1]


def test_a_tool_that_goes_nowhere_ends_its_branch():
    run = Run(SENDING)
    run.give("s", {"n": 1}, goto=())
    assert (run.state.status, run.final) == ("completed", {"n": 1})


def test_a_branch_that_goes_nowhere_keeps_no_join_waiting():
    run = Run({"f": {"next": ["s", "w"]}, **SENDING}, start_node="f")
    run.give("f")
    run.give("w")
    assert run.nodes == ["s"]
    run.give("s", goto=())
    assert run.nodes == ["j"]


def test_an_item_of_a_map_that_goes_nowhere_is_over():
    nodes = {"m": {"next": {"map": [1, 2], "to": "s", "join": "e"}}, "s": {"next": {"dynamic": ["w"]}}}
    run = Run({**nodes, "w": {"next": "e"}, "e": {}}, start_node="m")
    run.give("m")
    run.give("m[0].s", goto=())
    run.give("m[1].s", goto=("w",))
    assert run.nodes == ["m[1].w"]
    run.give("m[1].w")
    assert run.nodes == ["e"]


def test_one_node_is_reached_as_often_as_it_is_named():
    run = Run(SENDING)
    run.end("s", Returned(goto=("w", "w", "end")))
    assert run.nodes == ["w", "w"]
    assert len({start.step for start in run.running.values()}) == 2
