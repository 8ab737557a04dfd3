"""Scientific workflows: each task runs once, when all it needs is there, and sees what these wrote."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from graphs import services as graphs
from runs import services
from runs.engine.simulate import simulate, simulate_shuffled
from runs.models import Run, Step
from runs.selectors import current_state
from tests.acceptance import scientific
from tests.acceptance.scientific import Needs, definition, depths
from tests.support.runs import driving, finish
from tests.support.verifying import assert_as_journaled
from tools import Context, tool

pytestmark = pytest.mark.usefixtures("untraced")

WORKFLOWS: dict[str, Callable[[], Needs]] = {
    "montage": lambda: scientific.montage(20),
    "epigenomics": lambda: scientific.epigenomics(2, 12),
    "cybershake": lambda: scientific.cybershake(2, 24),
    "genome": lambda: scientific.genome(2, 34),
    "blast": lambda: scientific.blast(97),
    "sra search": lambda: scientific.sra_search(42),
}


@tool(name="scientific.work")
async def work(ctx: Context, state: Mapping[str, Any], needs: list[str]) -> dict[str, Any]:
    """Counts the longest chain that leads here; fails if something it needs is not there."""
    return {f"depth_{ctx.node}": 1 + max((state[f"depth_{task}"] for task in needs), default=0), "log": ctx.node}


def assert_done(needs: Needs, state: Mapping[str, Any]) -> None:
    assert sorted(state["log"]) == sorted(needs)
    place = {task: number for number, task in enumerate(state["log"])}
    assert all(place[one] < place[task] for task, needed in needs.items() for one in needed)
    assert {task: state[f"depth_{task}"] for task in needs} == depths(needs)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_of_a_hundred_tasks_in_any_order_with_deaths(workflow: str) -> None:
    needs = WORKFLOWS[workflow]()
    graph = definition(needs, tool="scientific.work")
    result = simulate_shuffled(graph, orders=2, kill_at=[1, 31, 90], real_tools=True)
    assert result.status == "completed", result.errors
    assert_done(needs, result.state)


def test_a_mosaic_of_five_hundred_tasks() -> None:
    needs = scientific.montage(100)
    result = simulate(definition(needs, tool="scientific.work"), real_tools=True)
    assert_done(needs, result.state)


@pytest.mark.django_db(transaction=True)
def test_a_driver_runs_a_mosaic_of_two_hundred_tasks(actor) -> None:
    needs = scientific.montage(40)
    version = graphs.create_graph(definition=definition(needs, tool="scientific.work"), actor=actor)
    run = services.start_run(version=version, state={}, actor=actor)
    with driving():
        assert finish(run).status == Run.Status.COMPLETED, run.error
    assert_done(needs, current_state(run).values)
    assert set(Step.objects.filter(run=run).values_list("attempt", "status")) == {(1, "completed")}
    assert_as_journaled()
