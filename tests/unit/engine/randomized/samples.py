"""Random graphs, and tools for them whose results depend on everything they see.

A tool's update and route are hashes of its view, and the reducer `weird` is neither commutative nor associative, so any
difference in any view shows in what runs later.
"""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphs.plan import Plan, compile_plan
from graphs.spec import parse_definition
from runs.engine.events import Failure, JsonObject, StepCompleted, StepFailed, StepId
from tools import reducer

Json = Any
END = "end"
REDUCERS = {
    "log": "append",
    "weird": "weird@1",
    "depth": "max",
    "sum": "add",
    "float": "add",
    "coll": "extend",
    "chosen": "merge",
}
MAX_DEPTH = 9
"""After so many steps in a line every branch ends."""
CHILD = "child"
"""The name of the graph that nodes call, and the digest of its definition."""
DEPTH_OF_CHILDREN = 6
"""Where they begin to count, so that they are short."""
START_STATE: JsonObject = {"x": 1, "old": "o"}


@reducer("weird", version=1)
def weird(value: Json, updates: list[int]) -> int:
    value = value or 7
    for update in updates:
        value = (value * 31 + update * 17 + value * update) % 1_000_003
    return value


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a node's tool does. `fails_every`: it fails at one hash in so many; 0 never."""

    routing: str = "fork"
    fails_every: int = 0
    replaces: str | None = None
    quiet: bool = False


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A graph with its tools."""

    definition: dict[str, Json]
    behaviours: dict[str, Behaviour]
    child: Sample | None = None
    """What its nodes with `graph` call."""
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", compile_plan(parse_definition(self.definition)))

    def call(self, node: str, step: StepId, attempt: int, view: Mapping[str, Json]) -> StepCompleted | StepFailed:
        """The outcome of a step: a function of the node and its view.

        Where it leads stands in the state, too, under `chosen`: a published graph can only be told in this way.
        """
        behaviour, spec = self.behaviours[node], self.definition["nodes"][node]
        seen = fingerprint(node, view)
        fails = behaviour.fails_every and seen % behaviour.fails_every == 0
        if fails and ("error" not in view or step[0] % 2):  # else handlers that see ever the same would fail for ever
            return self.failure(node, step, attempt, "Boom")
        depth = (view.get("depth") or 0) + 1
        update, replace, delete = _update(node, behaviour, seen, depth)
        done = {"step": step, "attempt": attempt, "update": update, "replace": replace, "delete": delete}
        if "dynamic" in spec["next"]:
            sends = _sends(spec["next"]["dynamic"], seen, depth)
            return StepCompleted(**done, route=tuple(to for to, _ in sends), payloads=tuple(what for _, what in sends))
        if isinstance(spec["next"], dict):
            items = [10 * depth + i for i in range(0 if depth > 3 else seen % 4)]
            update["chosen"] = {node: items}
            return StepCompleted(**done, items=tuple(items))
        chosen = [] if depth >= MAX_DEPTH else _chosen(len(spec["next"]), behaviour, seen)
        if behaviour.routing != "fork":
            update["chosen"] = {node: chosen}
        return StepCompleted(**done, route=tuple(spec["next"][i] for i in chosen) or (END,))

    def renamed(self, prefix: str) -> Sample:
        """The same graph with other names, and with nodes to which nothing leads."""

        def name(node: str) -> str:
            return node if node == END else prefix + node

        nodes: dict[str, Json] = {"a": {"next": [name("n1")]}, "n": {}, "z": {"join": "all", "next": ["a"]}}
        for node, spec in self.definition["nodes"].items():
            route = spec["next"]
            if "dynamic" in route:
                route = {"dynamic": [name(to) for to in route["dynamic"]]}
            elif isinstance(route, dict):
                route = {**route, "to": [name(to) for to in route["to"]], "join": name(route["join"])}
            else:
                route = [name(to) for to in route]
            nodes[name(node)] = {**spec, "next": route}
        definition = {**self.definition, "nodes": nodes, "start_node": name(self.definition["start_node"])}
        return Sample(definition=definition, behaviours=self.behaviours, child=self.child)

    def failure(self, node: str, step: StepId, attempt: int, type_: str) -> StepFailed:
        route = self.definition["nodes"][node].get("on_error")
        return StepFailed(
            step=step,
            attempt=attempt,
            error=Failure(type=type_, message="as arranged"),
            route=None if route is None else tuple(route),
        )


def fingerprint(*parts: Json) -> int:
    return zlib.crc32(json.dumps(parts, sort_keys=True, default=repr).encode())


def _update(node: str, behaviour: Behaviour, seen: int, depth: int) -> tuple[JsonObject, JsonObject, tuple[str, ...]]:
    update: JsonObject = {"depth": depth}
    replace: JsonObject = {}
    delete: tuple[str, ...] = ()
    if not behaviour.quiet:
        update |= {"log": node, "weird": seen % 997 + 1, "sum": 1, "float": seen % 1000 / 7}
    match behaviour.replaces:
        case "shared":
            update["r"] = seen % 7
        case "own":
            update["k_" + node] = seen
        case "set":
            replace["weird"] = seen % 11
        case "delete":
            delete = ("k_" + node, "old", "log")[: 1 + seen % 3]
    return update, replace, delete


def _chosen(count: int, behaviour: Behaviour, seen: int) -> list[int]:
    """Positions in the list of targets."""
    match behaviour.routing:
        case "one":
            return [seen % count]
        case "each":
            return [i for i in range(count) if seen >> i & 1] or [0]
        case _:
            return list(range(count))


def _sends(targets: list[str], seen: int, depth: int) -> list[tuple[str, JsonObject | None]]:
    """Targets with what is laid over the state there; often one target twice, with different payloads."""
    if depth >= MAX_DEPTH:
        return [(END, {"sent": seen})]
    chosen = [targets[seen % len(targets)], *(target for i, target in enumerate(targets) if seen >> i & 2)]
    return [(target, _payload(seen + i)) for i, target in enumerate(chosen)]


def _payload(seen: int) -> JsonObject | None:
    """Of names that nothing else has, of keys of the state, and of one that an item of a map has."""
    payloads: list[JsonObject | None] = [{"sent": seen % 7}, {"sent": 1, "weird": seen % 5}, {"r": 8, "item": 9}, None]
    return payloads[seen % 4]


# --------------------------------------------------------------------------- generators


def sample(rng: random.Random, mode: str, *, reliable: bool = False) -> Sample:
    """A random graph of a mode; a reliable one has no failing tools, no handlers and no tolerated failures."""
    nodes, behaviours = _dag(rng) if mode == "dag" else _any_shape(rng, mode, reliable)
    _let_some_send(rng, nodes)
    behaviours["n0"] = Behaviour(replaces=behaviours["n0"].replaces)
    if reliable:
        behaviours = {
            name: Behaviour(routing=b.routing, replaces=b.replaces, quiet=b.quiet) for name, b in behaviours.items()
        }
    definition = {
        "name": "sample",
        "start_node": "n0",
        "nodes": nodes,
        "state": {"reducers": REDUCERS},
        "limits": {"max_depth": 100},
    }
    return Sample(definition=definition, behaviours=behaviours)


def calling(rng: random.Random, mode: str, *, reliable: bool = False) -> Sample:
    """A sample one or two of whose nodes call another one."""
    made = sample(rng, mode, reliable=reliable)
    nodes = made.definition["nodes"]
    free = [name for name, node in nodes.items() if "tool" not in node]
    for name in rng.sample(free, min(len(free), 2)):
        nodes[name]["graph"] = CHILD
    child = sample(rng, rng.choice(["plain", "map", "dag"]), reliable=reliable)
    return Sample(definition=made.definition, behaviours=made.behaviours, child=child)


def _dag(rng: random.Random) -> tuple[dict[str, Json], dict[str, Behaviour]]:
    """Crossing branches: many forks, most meeting points are joins, joins of joins."""
    names = [f"n{i}" for i in range(rng.randint(6, 12))]
    nodes: dict[str, Json] = {}
    behaviours = {}
    for i, name in enumerate(names):
        ahead = names[i + 1 : i + 6]
        nodes[name] = {"next": rng.sample(ahead, min(len(ahead), rng.choice([1, 2, 2, 3]))) or [END]}
        behaviours[name] = Behaviour(
            routing=rng.choice(["fork", "fork", "fork", "each"]),
            replaces=rng.choice(["shared", "own", "set", *[None] * 12]),
            quiet=rng.random() < 0.1,
        )
    arrivals = Counter(target for node in nodes.values() for target in node["next"])
    for name in names[1:]:
        if arrivals[name] > 1 and rng.random() < 0.8:
            nodes[name]["join"] = "all"
    return nodes, behaviours


def _any_shape(rng: random.Random, mode: str, reliable: bool) -> tuple[dict[str, Json], dict[str, Behaviour]]:
    names = [f"n{i}" for i in range(rng.randint(4, 12))]
    nodes: dict[str, Json] = {}
    behaviours = {}
    acyclic = rng.random() < 0.4
    for i, name in enumerate(names):
        pool = names[i + 1 :] if acyclic or rng.random() < 0.55 else names[1:]
        pool = pool or ([] if acyclic else names[1:])
        nodes[name] = node = {"next": _targets(rng, pool, is_start=i == 0)}
        if i and rng.random() < 0.4:
            node["join"] = "all"
        if i and mode in ("any", "race") and rng.random() < 0.2:
            node["join"] = {"count": rng.choice([1, 1, 2]), "rest": rng.choice(["cancel", "ignore"])}
        if i and mode in ("map", "race") and rng.random() < 0.25:
            node["next"] = _map(rng, names, name, reliable)
        handled = not reliable and i and rng.random() < 0.12
        if handled:
            handlers = pool or [END]
            node["on_error"] = rng.sample(handlers, min(len(handlers), rng.choice([1, 1, 2])))
        behaviours[name] = Behaviour(
            routing=rng.choice(["fork", "fork", "one", "each"]),
            fails_every=rng.choice([0, 0, 0, 0, 6, 3]) if handled or rng.random() < 0.5 else 0,
            replaces=rng.choice(["shared", "own", "set", "delete", *[None] * 8]),
            quiet=rng.random() < 0.2,
        )
    return nodes, behaviours


def _let_some_send(rng: random.Random, nodes: dict[str, Json]) -> None:
    for name, node in nodes.items():
        if name != "n0" and isinstance(node["next"], list) and rng.random() < 0.2:
            targets = list(dict.fromkeys([*node["next"], END]))
            nodes[name] = {**node, "tool": "sends", "next": {"dynamic": targets}}


def _targets(rng: random.Random, pool: list[str], *, is_start: bool) -> list[str]:
    count = rng.choice([2, 2, 3, 3, 1]) if is_start else rng.choice([0, 1, 1, 1, 1, 2, 2, 2, 3])
    targets = [rng.choice(pool) for _ in range(count)] if pool else []
    if rng.random() < 0.8:
        targets = list(dict.fromkeys(targets))
    if rng.random() < 0.15:
        targets.insert(rng.randint(0, len(targets)), END)
    return targets or [END]


def _map(rng: random.Random, names: list[str], name: str, reliable: bool) -> dict[str, Json]:
    route: dict[str, Json] = {
        "map": "= []",
        "to": rng.sample(names[1:], rng.choice([1, 1, 1, 2])),
        "join": rng.choice([*names[1:], END]),
    }
    if rng.random() < 0.7:
        route["collect"] = {"coll": "= [default(weird, 0), index]", "c_" + name: "= default(log, null)"}
    if not reliable and rng.random() < 0.4:
        route["tolerated_failures"] = rng.choice([1, 2, "50%"])
    return route
