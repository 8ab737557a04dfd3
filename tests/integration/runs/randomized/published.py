"""The samples of the property test as graphs that can be published: with tools, and conditions for their routes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from runs.engine.events import StepCompleted
from tests.unit.engine.randomized.samples import DEPTH_OF_CHILDREN, END, MAX_DEPTH, Behaviour, Sample, fingerprint
from tools import Command, Context, Send, tool

Json = Any
Graph = dict[str, Json]

GOES_ON = f"depth < {MAX_DEPTH}"
CALL = {
    "inputs": {"x": "= default(weird, 0)", "depth": DEPTH_OF_CHILDREN},
    "outputs": {
        "weird": "= default(result.weird, 0) % 997",
        "depth": "= default(depth, 0) + 1",
        "coll": "= default(result.coll, [])",
    },
}
"""How a node calls the other graph; `predicted.called` says the same."""
QUICKLY = {"max_attempts": 3, "initial_interval_s": 0.01, "on": ["Flaky"]}

played: dict[str, Sample] = {}
"""By name; the tools look their samples up here."""
seen_by: dict[str, dict[str, set[tuple[str, int]]]] = defaultdict(lambda: defaultdict(set))
"""By sample and step: the nodes and the views of its calls. Of one step they must all be the same."""
called: Counter[tuple[str, str, int]] = Counter()
"""How often an attempt (the run, the step, its number) was called: once, while its driver lives."""


class Flaky(Exception):
    """Passes by itself."""


class First(Exception):
    """Passes when somebody opens the run again."""


class Boom(Exception):
    """Does not pass."""


def published(kind: str, name: str, sample: Sample, *, child: str = "") -> Graph:
    """The definition of the sample for the store. `child` is what its nodes call."""
    played[name] = sample
    nodes = {}
    for number, (node, spec) in enumerate(sample.definition["nodes"].items()):
        act = "randomized.act_async" if number % 3 == 0 else "randomized.act"
        inputs = {"sample": name, "failing_first": kind == "retry"}
        work: Graph = {"tool": act, "inputs": inputs, "retry": QUICKLY}
        if "graph" in spec:
            work = {**CALL, "graph": child}
        elif kind == "undo" and number % 2:
            work["compensate"] = {"tool": "randomized.undo"}
        nodes[node] = {**spec, **work, "next": _route(node, spec, sample.behaviours[node])}
    return {**sample.definition, "name": name, "nodes": nodes}


def _route(node: str, spec: Graph, behaviour: Behaviour) -> Json:
    targets = spec["next"]
    if isinstance(targets, dict):
        if "map" not in targets:
            return targets
        items = f"= chosen.{node}" if "graph" not in spec else "= [depth] if depth <= 3 else []"
        return {**targets, "map": items}
    if "graph" in spec or behaviour.routing == "fork":
        return {"condition": GOES_ON, "if_true": targets, "if_false": END}
    form = "switch" if behaviour.routing == "one" else "each"
    choices = [{"when": f"{i} in chosen.{node}", "to": target} for i, target in enumerate(targets)]
    return {form: choices, "default": END}


# --------------------------------------------------------------------------- the tools


def as_seen(view: Mapping[str, Json]) -> dict[str, Json]:
    """The view without what is not told alike: words, and how many attempts there were."""
    seen = dict(view)
    if seen.get("error") is not None:
        seen["error"] = {part: seen["error"][part] for part in ("type", "node")}
    return seen


@tool(name="randomized.act")
def act(
    ctx: Context, state: Mapping[str, Json], sample: str, failing_first: bool, error=None, item=None, index=None
) -> Command:
    """Does what the sample has arranged for the node, with what it sees."""
    time.sleep(_moment_s(ctx))
    return _acted(ctx, sample, failing_first, _seen(state, error=error, item=item, index=index))


@tool(name="randomized.act_async")
async def act_async(
    ctx: Context, state: Mapping[str, Json], sample: str, failing_first: bool, error=None, item=None, index=None
) -> Command:
    """The same on the driver's loop."""
    seen = _seen(state, error=error, item=item, index=index)
    await asyncio.sleep(_moment_s(ctx))
    return _acted(ctx, sample, failing_first, seen)


@tool(name="randomized.undo")
def undo(ctx: Context) -> None:
    """Undoes a step, or cannot."""
    time.sleep(_moment_s(ctx))
    if fingerprint(ctx.step_id) % 4 == 0:
        raise Boom("as arranged")


def _moment_s(ctx: Context) -> float:
    return fingerprint(ctx.idempotency_key) % 8 / 200


def _seen(state: Mapping[str, Json], **names: Json) -> dict[str, Json]:
    return as_seen({**state, **{name: value for name, value in names.items() if value is not None}})


def _acted(ctx: Context, sample: str, failing_first: bool, seen: dict[str, Json]) -> Command:
    called[ctx.run_id, ctx.step_id, ctx.attempt] += 1
    seen_by[sample][ctx.step_id].add((ctx.node, fingerprint(ctx.node, seen)))
    chance = fingerprint(ctx.step_id, sample) % 12
    if ctx.attempt == 1 and failing_first and chance < 2:
        raise First("as arranged")
    if ctx.attempt == 1 and chance == 2:
        raise Flaky("as arranged")
    outcome = played[sample].call(ctx.node, bytes.fromhex(ctx.step_id), ctx.attempt, seen)
    if not isinstance(outcome, StepCompleted):
        raise Boom("as arranged")
    goto = _goto(sample, ctx.node, outcome)
    return Command(update=outcome.update, set=outcome.replace, delete=outcome.delete, goto=goto)


def _goto(sample: str, node: str, outcome: StepCompleted) -> list[str | Send] | None:
    if "dynamic" not in played[sample].definition["nodes"][node]["next"]:
        return None
    sent = zip(outcome.route, outcome.payloads, strict=True)
    return [target if payload is None else Send(target, payload) for target, payload in sent]
