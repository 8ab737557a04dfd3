"""Graphs with what must come of them, to be simulated in many orders and to be run by real drivers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from accounts.actor import Actor
from graphs import services as graphs
from runs import services
from runs.engine.simulate import At, Simulation, simulate_shuffled
from runs.human_tasks import answer_task
from runs.models import Event, HumanTask, Run, Step
from runs.selectors import current_state
from runs.signals import signal_run
from tests.support.runs import driving
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until
from tools import Command, Context, Send, ToolError, tool

Json = Any
LOG = {"reducers": {"log": "append"}, "defaults": {"log": []}}
ORDERS = 3


class Hiccup(ToolError):
    """Goes away."""


class Broken(ToolError):
    """Stays."""


ERRORS = {error.__name__: error for error in (Hiccup, Broken)}


@tool(name="case.act")
async def act(
    ctx: Context,
    update: dict[str, Any] | None = None,
    overwrite: dict[str, Any] | None = None,
    drop: list[str] | None = None,
    goto: list[str] | str | None = None,
    send: list[Any] | None = None,
    ask: list[str] | None = None,
    fails: str | None = None,
    times: int = 1_000,
) -> Command:
    """Does what the case says, and logs its node unless it writes nothing or another log."""
    answers = [ctx.interrupt(title) for title in ask or ()]
    if fails and ctx.attempt <= times:
        raise ERRORS[fails]("as told")
    to: list[str | Send] | None = None
    if goto is not None or send is not None:
        to = [*([goto] if isinstance(goto, str) else goto or ()), *(Send(*one) for one in send or ())]
    written = {"log": ctx.node} if update is None or "log" not in update else {}
    written |= {"answers": answers} if answers else {}
    return Command(
        update=written | {key: value for key, value in (update or {}).items() if key != "log" or value is not None},
        set=overwrite or {},
        delete=drop or (),
        goto=to,
    )


QUIET = {"update": {"log": None}}
"""Inputs of a step that leaves the log alone."""
OPTIONS = ("retry", "on_error", "timeout_s", "deadline_s", "outputs", "compensate")


def do(to: Json = "end", *, join: Json = None, **given: Json) -> dict[str, Json]:
    """A node that acts. `given` are options of the node and inputs of its tool."""
    node: dict[str, Json] = {"tool": "case.act", "next": to, **{key: given.pop(key) for key in OPTIONS if key in given}}
    return {**node, **({"inputs": given} if given else {}), **({"join": join} if join else {})}


def may(*targets: str) -> dict[str, Json]:
    return {"dynamic": list(targets)}


def if_(condition: str, yes: Json, no: Json = "end") -> dict[str, Json]:
    return {"condition": condition, "if_true": yes, "if_false": no}


def over(items: Json, to: Json, join: str = "end", **more: Json) -> dict[str, Json]:
    return {"map": items, "as": "it", "to": to, "join": join, **more}


def graph(nodes: Mapping[str, Json], **more: Json) -> dict[str, Json]:
    return {"name": "case", "start_node": next(iter(nodes)), "nodes": dict(nodes), "state": LOG, **more}


def reducing(**reducers: str) -> dict[str, Json]:
    return {**LOG, "reducers": {"log": "append", **reducers}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A graph, what it is given, and what must come of it."""

    nodes: Mapping[str, Json]
    given: Mapping[str, Json] = field(default_factory=dict)
    more: Mapping[str, Json] = field(default_factory=dict)
    """Other parts of the definition."""
    graphs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """The graphs that it calls, by name."""
    answers: Mapping[str, Json] = field(default_factory=dict)
    """What people answer, by the name of the interrupt or by node."""
    signals: Sequence[tuple[str, Json]] = ()
    ends: Mapping[str, Json]
    """What the state has at the end, besides other keys."""
    errors: Sequence[tuple[str, str]] = ()
    """Nodes and types of those of a run that fails."""
    waits_at: Sequence[str] = ()
    deaths: bool = True
    """Whether workers may die: no, where the tool counts its attempts."""

    @property
    def definition(self) -> dict[str, Json]:
        return graph(self.nodes, **self.more)

    @property
    def status(self) -> str:
        return "waiting" if self.waits_at else "failed" if self.errors else "completed"

    def simulate(self) -> Simulation:
        """Play it in several orders, and hold the result against the case."""
        result = simulate_shuffled(
            self.definition,
            self.given,
            orders=ORDERS,
            kill_at="everywhere" if self.deaths else (),
            graphs={name: {**called, "name": name} for name, called in self.graphs.items()},
            answers=self.answers,
            signals=[At(1 + n, name, payload) for n, (name, payload) in enumerate(self.signals)],
            real_tools=True,
        )
        told = sorted({(error.node, error.type) for error in result.errors})
        assert (result.status, told, result.waits_at) == (self.status, sorted(set(self.errors)), list(self.waits_at))
        assert {key: result.state.get(key, "nothing") for key in self.ends} == self.ends
        return result


def rows(cases: Mapping[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


def drive_all(cases: Mapping[str, Case], actor: Actor) -> Iterator[tuple[str, Case, Run]]:
    """All of them at once, by one driver; each when it has come to where the case says."""
    for name, called in {name: called for case in cases.values() for name, called in case.graphs.items()}.items():
        graphs.create_graph(definition={**called, "name": name}, actor=actor)
    runs: dict[str, Run] = {}
    for name, case in cases.items():
        version = graphs.create_graph(definition={**case.definition, "name": f"case {name}"}, actor=actor)
        runs[name] = services.start_run(version=version, state=dict(case.given), actor=actor)
        for signal, payload in case.signals:
            signal_run(run=runs[name], name=signal, payload=payload, actor=actor)
    by_run = {runs[name].pk: case for name, case in cases.items()}

    def are_over() -> bool:
        for task in HumanTask.objects.filter(status="open", run__in=by_run):
            asked = HumanTask.objects.filter(run=task.run_id, step=task.step).count()
            answers = by_run[task.run_id].answers
            answer = answers.get(f"interrupt-{asked}", answers.get(task.node))
            if answer is not None:
                answer_task(task=task, answer=answer, actor=actor)
        return all(_is_where_it_should_be(run, by_run[run.pk]) for run in Run.objects.filter(pk__in=by_run))

    with driving():
        wait_until(are_over, "all cases are over")
    assert_as_journaled(*(run for name, run in runs.items() if not cases[name].waits_at))
    for name, run in runs.items():
        run.refresh_from_db()
        yield name, cases[name], run


def _is_where_it_should_be(run: Run, case: Case) -> bool:
    if run.is_terminal or not case.waits_at:
        return run.is_terminal
    at = Step.objects.filter(run=run, status="waiting").values_list("node", flat=True)
    return run.status == "waiting" and sorted(at) == sorted(place.rpartition(".")[2] for place in case.waits_at)


def _errors_of(run: Run) -> list[tuple[str, str]]:
    failed = Event.objects.filter(run=run, type="RunFailed").order_by("seq").last()
    return [] if failed is None else [(node, error["type"]) for _, node, error in json.loads(failed.data)["errors"]]


def assert_driven_as_simulated(cases: Mapping[str, Case], actor: Actor) -> None:
    """Status, state and errors of each run are those of its simulation."""
    for name, case, run in drive_all(cases, actor):
        assert (name, run.status) == (name, case.status), run.error
        assert current_state(run).values == case.simulate().state, name
        assert (name, sorted(set(_errors_of(run)))) == (name, sorted(set(case.errors)))
