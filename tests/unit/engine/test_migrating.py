"""Moving runs to other versions of their graphs (rule R18)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runs.engine import dump_state, in_flight, learn_plan_of, load_state, plan_migration
from runs.engine.events import (
    PartRecorded,
    RunCancelled,
    RunCompleted,
    RunMigrated,
    RunPaused,
    RunResumed,
    StepCompleted,
    StepMoved,
    StepWaiting,
)
from tests.unit.engine.driving import LOG, Run, assert_recovers_at_every_cut, compiled

Json = Any
NEW = "the new version"


class Migrating(Run):
    """A run that can be moved to other versions, which are found by their digests like its subgraphs."""

    def migrate(self, nodes: dict[str, Json], *, reducers: dict[str, str] | None = None, **more: Json) -> bool:
        mapping, digest = more.pop("mapping", {}), more.pop("digest", NEW)
        state = {"reducers": LOG if reducers is None else reducers, "defaults": more.pop("defaults", {})}
        self.children = {
            **self.children,
            digest: compiled(nodes, state=state, **more),
            self.plan.spec.sha256: self.plan,
        }
        event = RunMigrated(version="g@2", digest=digest, mapping=mapping)
        learn_plan_of(self.state, event, lambda digest, _: self.children[digest])
        before = dump_state(self.state)
        events = self.feed(event)
        assert events or dump_state(self.state) == before
        for step in self.running:  # a driver takes up what is in flight under the names of now
            self.running[step] = next(one for one in in_flight(self.state) if one.step == step)
        return bool(events)


def codes(run: Run, nodes: dict[str, Json], **more: Json) -> list[str]:
    mapping = more.pop("mapping", {})
    state = {"reducers": more.pop("reducers", LOG)}
    found = plan_migration(run.state, compiled(nodes, state=state, **more), mapping)
    return [obstacle.code for obstacle in found.obstacles]


#   s ── a ── e      becomes      s ── b ── c ── e
def test_a_branch_goes_on_at_the_node_that_the_mapping_names() -> None:
    run = Migrating({"s": {"next": "a"}, "a": {"next": "e"}, "e": {}})
    run.give("s", {"log": "s"})
    step = run.start("a").step
    assert run.migrate({"s": {"next": "b"}, "b": {"next": "c"}, "c": {"next": "e"}, "e": {}}, mapping={"a": "b"})
    assert run.events[-1] == StepMoved(step=step, node="b")
    run.play({})
    assert run.final == {"log": ["s", "b", "c", "e"]}
    assert_recovers_at_every_cut(run)


def test_the_ids_of_steps_stay() -> None:
    ids = []
    for migrates in (False, True):
        run = Migrating({"s": {"next": "a"}, "a": {"next": "e"}, "e": {}})
        run.give("s")
        if migrates:
            run.migrate({"s": {"next": "b"}, "b": {"next": "e"}, "e": {}}, mapping={"a": "b"})
        run.play({})
        ids.append([event.step for event in run.events if isinstance(event, StepCompleted)])
    assert ids[0] == ids[1]


def test_limits_and_counts_of_turns_go_with_the_nodes() -> None:
    loop = {"next": {"condition": "default(n, 0) > 5", "if_true": "end", "if_false": "s"}}
    run = Migrating({"s": loop}, limits={"max_iterations": 3})
    run.give("s")
    run.give("s")
    renamed = {"next": {"condition": "default(n, 0) > 5", "if_true": "end", "if_false": "t"}}
    assert run.migrate({"t": renamed}, start="t", mapping={"s": "t"}, limits={"max_iterations": 3})
    run.give("t")
    assert run.errors == [("t", "LimitExceeded")]
    assert run.migrate({"t": renamed}, start="t", limits={"max_iterations": 9}, digest="third")
    run.reopen()
    run.give("t", {"n": 6})
    assert run.status == "completed"
    assert_recovers_at_every_cut(run)


def test_turns_of_nodes_that_are_gone_are_forgotten() -> None:
    run = Migrating({"s": {"next": "a"}, "a": {"next": "e"}, "e": {}})
    run.give("s")
    assert run.migrate({"a": {"next": "e"}, "e": {}}, start="a")
    run.play({})
    assert run.status == "completed"


#   s ─┬─ a ──┐                    s ─┬─ a ── end
#      └─ b ── j ── e                 └─ b ── j ── e
def test_a_join_that_nobody_else_can_reach_any_more_fires() -> None:
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "j"},
        "b": {"next": "j"},
        "j": {"join": "all", "next": "e"},
        "e": {},
    }
    run = Migrating(nodes)
    run.give("s")
    run.give("b", {"log": "b"})
    assert run.nodes == ["a"]
    assert run.migrate({**nodes, "a": {}})
    assert run.nodes == ["a", "j"]
    run.play({})
    assert run.final == {"log": ["a", "b", "j", "e"]}
    assert_recovers_at_every_cut(run)


def test_a_paused_run_holds_what_the_migration_sets_free() -> None:
    nodes = {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}
    run = Migrating(nodes)
    run.give("s")
    run.give("b")
    run.feed(RunPaused(held=(run.start("a").step,)))
    assert run.migrate({**nodes, "a": {}})
    assert run.nodes == []
    run.feed(RunResumed())
    assert run.nodes == ["a", "j"]
    assert_recovers_at_every_cut(run)


def test_a_failed_run_goes_on_when_the_migration_sets_something_free() -> None:
    nodes = {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}
    run = Migrating(nodes)
    run.give("s")
    run.give("b")
    run.fail("a")
    assert run.status == "failed"
    assert run.migrate({**nodes, "a": {}})
    assert run.status == "running"
    run.give("j")
    assert (run.status, run.errors) == ("failed", [("a", "ValueError")])
    run.reopen()
    run.give("a")
    assert run.status == "completed"
    assert_recovers_at_every_cut(run)


def test_a_failed_run_that_gains_nothing_fails_again_and_can_be_retried_with_another_tool() -> None:
    run = Migrating({"s": {"tool": "broken"}})
    run.fail("s")
    assert run.migrate({"s": {"tool": "repaired"}})
    assert (run.status, run.errors) == ("failed", [("s", "ValueError")])
    run.reopen()
    run.give("s")
    assert run.status == "completed"
    assert_recovers_at_every_cut(run)


def test_a_run_that_does_not_stop_on_failures_any_more_starts_what_it_held() -> None:
    nodes = {"s": {"next": ["a", "b"]}, "a": {}, "b": {"next": "c"}, "c": {}}
    run = Migrating(nodes, on_failure="stop")
    run.give("s")
    run.fail("a")
    run.give("b")
    assert run.status == "failed"
    assert run.migrate(nodes)
    assert run.nodes == ["c"]
    assert_recovers_at_every_cut(run)


def test_a_new_key_with_a_default_gets_it_in_every_open_scope() -> None:
    nodes = {"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}}
    run = Migrating(nodes)
    run.give("s", {"log": "s"})
    assert run.migrate(nodes, defaults={"fresh": 7, "log": ["other"]})
    assert run.seen("s[0].w")["fresh"] == 7
    run.play({})
    assert run.final == {"fresh": 7, "log": ["s", "w"]}
    assert_recovers_at_every_cut(run)


def test_items_and_subgraphs_go_on_under_the_new_names() -> None:
    child = compiled({"x": {"next": "y"}, "y": {}}, start="x", state={"reducers": LOG})
    mapped = {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= index"}}
    run = Migrating(
        {"s": {"next": mapped}, "w": {"graph": "child", "next": "v"}, "v": {}, "j": {}}, children={"child": child}
    )
    run.give("s")
    assert run.nodes == ["s[0].w.x", "s[1].w.x"]
    renamed = {**mapped, "to": "ww", "join": "jj"}
    nodes = {"t": {"next": renamed}, "ww": {"graph": "other", "next": "v"}, "v": {}, "jj": {}}
    mapping = {"s": "t", "w": "ww", "j": "jj"}
    assert run.migrate(nodes, start="t", mapping=mapping)
    assert run.nodes == ["t[0].ww.x", "t[1].ww.x"]
    moved = [(event.node, event.path) for event in run.events if isinstance(event, StepMoved)]
    assert sorted(moved) == [("t", ""), ("ww", "t[0]"), ("ww", "t[1]"), ("x", "t[0].ww"), ("x", "t[1].ww")]
    run.play({})
    assert run.final is not None and run.final["out"] == [0, 1]
    assert_recovers_at_every_cut(run)


def test_writes_of_a_node_that_is_gone_still_count() -> None:
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "c"},
        "b": {"next": "j"},
        "c": {"next": "j"},
        "j": {"join": "all"},
    }
    run = Migrating(nodes)
    run.give("s")
    run.give("a", {"x": 1})
    assert run.migrate({"s": {"next": ["b", "c"]}, "b": {"next": "j"}, "c": {"next": "j"}, "j": {"join": "all"}})
    run.give("b", {"x": 2})
    run.give("c")
    assert run.errors == [("j", "ConcurrentUpdateError")]
    assert_recovers_at_every_cut(run)


def test_what_was_done_is_undone_as_the_version_says_with_which_it_was_done() -> None:
    undone = {"s": {"compensate": {"tool": "u", "inputs": {}}, "next": "a"}, "a": {}}
    run = Migrating(undone)
    run.feed(StepCompleted(step=run.start("s").step, route=("a",), compensation={"n": 1}))
    assert run.migrate({"a": {}}, start="a")
    run.fail("a")
    assert run.nodes == ["s"]
    (start,) = run.running.values()
    assert run.state.branches[start.step].node_plan.spec.compensate is not None
    run.feed(StepCompleted(step=start.step))
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


def test_a_marked_branch_is_absorbed_by_the_join_under_its_new_name() -> None:
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "j"},
        "b": {"next": "j"},
        "j": {"join": {"count": 1, "rest": "ignore"}},
    }
    run = Migrating(nodes)
    run.give("s")
    run.give("a")
    joined = {**nodes, "a": {"next": "k"}, "b": {"next": "k"}, "k": nodes["j"]}
    del joined["j"]
    assert run.migrate(joined, mapping={"j": "k"})
    run.give("b")
    run.give("k")
    assert run.status == "completed"
    assert [event for event in run.events if isinstance(event, RunCompleted)]
    assert_recovers_at_every_cut(run)


# --------------------------------------------------------------------------- what is refused

LINE = {"s": {"next": "a"}, "a": {"next": "e"}, "e": {}}


def at_a() -> Migrating:
    run = Migrating(LINE)
    run.give("s")
    return run


def test_a_branch_whose_node_is_gone_is_in_the_way_and_nothing_changes() -> None:
    run = at_a()
    assert not run.migrate({"s": {"next": "e"}, "e": {}})
    found = plan_migration(run.state, compiled({"s": {"next": "e"}, "e": {}}), {})
    assert [(move.node, move.to, move.status) for move in found.moves] == [("a", None, "running")]
    assert [(one.code, one.node) for one in found.obstacles] == [("node-missing", "a")]
    run.play({})
    assert run.status == "completed"


def test_a_node_that_no_branch_of_the_scope_comes_to_is_in_the_way() -> None:
    assert codes(at_a(), {"s": {"next": "e"}, "a": {"next": "e"}, "e": {}}) == ["node-out-of-reach"]


def test_a_mapping_of_unknown_nodes_is_in_the_way() -> None:
    run = at_a()
    assert codes(run, LINE, mapping={"x": "a"}) == ["mapping-unknown"]
    assert codes(run, LINE, mapping={"e": "y"}) == ["mapping-unknown"]
    assert codes(run, LINE, mapping={"a": "end"}) == ["mapping-unknown"]


def test_a_step_under_way_with_another_tool_is_in_the_way_but_not_one_that_is_held() -> None:
    run = at_a()
    other = {**LINE, "a": {"tool": "other", "next": "e"}}
    assert codes(run, other) == ["tool-changed"]
    run.feed(RunPaused(held=(run.start("a").step,)))
    assert codes(run, other) == []


def test_a_frozen_step_with_recorded_parts_keeps_its_tool() -> None:
    run = at_a()
    run.feed(PartRecorded(step=run.start("a").step, name="p", value=1))
    run.fail("a")
    assert codes(run, {**LINE, "a": {"tool": "other", "next": "e"}}) == ["tool-changed"]


def test_another_wait_is_in_the_way_of_a_step_that_waits() -> None:
    run = Migrating({"s": {"wait": {"signal": "go"}}})
    run.feed(StepWaiting(step=run.start("s").step, wait={"entries": []}))
    assert codes(run, {"s": {"wait": {"signal": "stop"}}}) == ["wait-changed"]
    assert codes(run, {"s": {"wait": {"signal": "go"}}}) == []


def test_another_join_is_in_the_way_of_branches_that_wait_at_it() -> None:
    nodes = {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}
    run = Migrating(nodes)
    run.give("s")
    run.give("a")
    assert codes(run, {**nodes, "j": {"join": {"count": 2}}}) == ["join-changed"]
    assert codes(run, {**nodes, "j": {}}) == ["join-changed"]


def test_a_join_that_fired_without_a_branch_must_stay_for_it() -> None:
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "j"},
        "b": {"next": "j"},
        "j": {"join": {"count": 1, "rest": "ignore"}},
    }
    run = Migrating(nodes)
    run.give("s")
    run.give("a")
    run.give("j")
    assert codes(run, {**nodes, "j": {}}) == ["join-changed"]
    assert codes(run, {"s": {"next": ["a", "b"]}, "a": {}, "b": {}}) == ["join-changed"]


MAP = {"map": "= [1]", "as": "x", "to": "w", "join": "j", "collect": {"out": "= x"}}


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ({**MAP, "map": "= [2]"}, ["map-changed"]),
        ({**MAP, "collect": {"out": "= x + 1"}}, ["map-changed"]),
        ({**MAP, "tolerated_failures": "= 1"}, ["map-changed"]),
        ({**MAP, "tolerated_failures": 1, "max_parallel": 3}, []),
        ({**MAP, "join": "end"}, ["map-changed"]),
        ({**MAP, "tolerated_failures": 1, "max_parallel": 1}, []),
        (["w", "j"], ["map-changed"]),
    ],
)
def test_another_map_is_in_the_way_of_one_that_is_open(route: Json, found: list[str]) -> None:
    run = Migrating({"s": {"next": MAP}, "w": {"next": "j"}, "j": {}})
    run.give("s")
    assert codes(run, {"s": {"next": route}, "w": {"next": "j"}, "j": {}}) == found


def test_an_item_whose_map_is_gone_is_not_in_the_way_twice() -> None:
    run = Migrating({"s": {"next": MAP}, "w": {"next": "j"}, "j": {}})
    run.give("s")
    assert codes(run, {"w": {"next": "j"}, "j": {}}, start="w") == ["node-missing"]


def test_another_kind_is_in_the_way_of_an_open_subgraph() -> None:
    child = compiled({"x": {}}, start="x")
    run = Migrating({"s": {"graph": "child"}}, children={"child": child})
    assert codes(run, {"s": {"tool": "t"}}) == ["kind-changed"]
    assert codes(run, {"s": {"graph": "another"}}) == []


@pytest.mark.parametrize("where", ["ledger", "item", "result"])
def test_another_reducer_is_in_the_way_while_writes_are_open(where: str) -> None:
    nodes: dict[str, Json] = {"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {}, "c": {}}
    if where != "ledger":
        nodes = {"s": {"next": {"map": "= [1, 2]", "to": "a", "join": "end"}}, "a": {"next": "c"}, "c": {}}
    run = Migrating(nodes)
    run.give("s")
    run.give("a" if where == "ledger" else "s[0].a", {"log": "a"})
    if where == "result":
        run.give("s[0].c")
    assert set(codes(run, nodes, reducers={"log": "extend"})) == {"reducer-changed"}
    assert codes(run, nodes, reducers={**LOG, "other": "add"}) == []


def test_a_run_that_is_over_or_ending_is_not_migrated() -> None:
    run = Migrating({"s": {}})
    run.feed(RunCancelled(graceful=True))
    assert codes(run, {"s": {}}) == ["run-ending"]
    run.give("s")
    assert codes(run, {"s": {}}) == ["run-over"]
    assert not run.migrate({"s": {}})


def test_a_run_that_undoes_what_it_did_is_not_migrated() -> None:
    run = Migrating({"s": {"compensate": {"tool": "u", "inputs": {}}, "next": "a"}, "a": {}})
    run.feed(StepCompleted(step=run.start("s").step, route=("a",), compensation={}))
    run.fail("a")
    assert codes(run, {"s": {}, "a": {}}, start="a") == ["run-undoing"]
    assert not run.migrate({"s": {"next": "a"}, "a": {}})


def test_a_version_whose_plan_nobody_knows_is_an_error() -> None:
    run = Migrating({"s": {}})
    with pytest.raises(ValueError, match="not known"):
        run.feed(RunMigrated(version="g@2", digest="nobody knows"))


def test_a_snapshot_finds_the_plan_of_the_version_by_itself() -> None:
    run = at_a()
    run.migrate({"s": {"next": "b"}, "b": {"next": "e"}, "e": {}}, mapping={"a": "b"})
    loaded = load_state(run.plan, json.loads(json.dumps(dump_state(run.state))), lambda digest, _: run.children[digest])
    assert loaded.root.graph is run.children[NEW]
    with pytest.raises(ValueError, match="not known"):
        load_state(run.plan, dump_state(run.state))
