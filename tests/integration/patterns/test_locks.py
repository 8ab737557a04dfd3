"""Patterns of mutual exclusion: steps of one run that hold one lock, in real drivers."""

import time
from typing import Any

import pytest

from accounts.actor import Actor
from graphs import services as graphs
from runs.models import Step
from runs.services import start_run
from tests.support.patterns import pattern
from tests.support.runs import driving, finish
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

inside: list[str] = []
most: list[int] = []
order: list[str] = []


@pytest.fixture(autouse=True)
def fresh():
    for each in (inside, most, order):
        each.clear()


@tool(name="stay_a_moment")
def stay_a_moment(ctx: Context, values: dict | None = None) -> dict:
    """Notes in which order its steps begin, and how many are inside with each."""
    order.append(values["log"] if values else ctx.node)
    inside.append(ctx.node)
    most.append(len(inside))
    time.sleep(0.02)
    inside.remove(ctx.node)
    return values or {}


def watched(definition: dict[str, Any], *, locks: bool) -> dict[str, Any]:
    """With the tool above in place of those that a lock guards; without the locks, if that is wanted."""
    nodes = {name: _watched(node, locks=locks) for name, node in definition["nodes"].items()}
    defaults = dict(definition["state"]["defaults"])
    if "section" in defaults:
        inner = {name: {**node, "tool": "stay_a_moment"} for name, node in defaults["section"]["nodes"].items()}
        defaults["section"] = {**defaults["section"], "nodes": inner}
    return {**definition, "nodes": nodes, "state": {**definition["state"], "defaults": defaults}}


def _watched(node: dict[str, Any], *, locks: bool) -> dict[str, Any]:
    if "lock" not in node:
        return node
    tool = {"tool": "stay_a_moment"} if "tool" in node else {}
    return {key: value for key, value in {**node, **tool}.items() if locks or key != "lock"}


def run(number: int, actor: Actor, *, locks: bool = True) -> list[str]:
    """Run the pattern to its end, and return the order in which its guarded steps began."""
    version = graphs.create_graph(definition=watched(pattern(number), locks=locks), actor=actor)
    with driving():
        done = finish(start_run(version=version, state={}, actor=actor))
    assert (done.status, done.error) == ("completed", "")
    last = Step.objects.filter(run=done, path="").latest("scheduled_seq")
    assert last.node in ("report", "close", "leave")
    return order


def test_wcp17_tasks_with_a_partial_order_are_done_one_at_a_time(actor: Actor):
    began = run(17, actor)
    assert set(most) == {1}
    assert sorted(began) == ["dissolve", "file", "photograph", "weigh"]
    assert began.index("weigh") < began.index("dissolve")
    assert began.index("photograph") < began.index("file")


def test_wcp39_a_section_that_has_begun_is_left_before_the_other_begins(actor: Actor):
    began = run(39, actor)
    assert set(most) == {1}
    payment, refund = ["payment reads", "payment writes"], ["refund reads", "refund writes"]
    assert began in ([*payment, *refund], [*refund, *payment])


def test_wcp40_each_task_is_done_once_and_never_two_at_once(actor: Actor):
    assert sorted(run(40, actor)) == ["blood", "eyes", "heart"]
    assert set(most) == {1}


@pytest.mark.parametrize("number", [17, 39, 40])
def test_without_the_lock_they_would_be_done_at_the_same_time(actor: Actor, number: int):
    run(number, actor, locks=False)
    assert max(most) > 1
