"""From a checked definition to its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphs.expressions import compile_value, is_expression
from graphs.json_schema import may_be_secret
from graphs.plan.edges import moves_of
from graphs.plan.masks import Budget, compile_scope
from graphs.plan.model import Handler, JoinPlan, MapPlan, Names, NodePlan, OutputsPlan, Plan, ScopePlan, Tolerance
from graphs.plan.postdominators import PostDominators
from graphs.plan.reducers import Reducer, discreet, find_reducer
from graphs.plan.routes import compile_route
from graphs.spec import END, MAX_NODES, Dynamic, GraphSpec, MapRoute, NodeSpec, StateSpec

Json = Any
MAX_INFERENCES = 16
"""Maps nested deeper than this, all without a `join`, get one that may be too early."""
MAX_SCOPE_NODES = 20 * MAX_NODES
"""Nodes of all scopes of a definition together."""


def compile_plan(spec: GraphSpec) -> Plan:
    """Compile `spec`, masks and expressions and all.

    Raises ExpressionInvalid, UnknownReducer, and DefinitionInvalid where scopes overlap beyond all measure.
    """
    names = (*sorted(spec.nodes), END)
    index = {name: number for number, name in enumerate(names)}
    joins = _map_joins(spec, names, index)
    nodes = tuple(_compile_node(name, index, spec.nodes[name], joins) for name in names[:-1])
    moves = [
        tuple(index[move] for move in moves_of(node.spec, map_join=names[node.map.join] if node.map else END))
        for node in nodes
    ]
    budget = Budget(MAX_SCOPE_NODES)
    root = compile_scope(nodes, moves, map_node=None, start=(index[spec.start_node],), exit_=None, budget=budget)
    items: dict[int, ScopePlan] = {
        node.index: compile_scope(
            nodes,
            moves,
            map_node=node.index,
            start=tuple(index[target] for target in node.map.to),
            exit_=node.map.join,
            budget=budget,
        )
        for node in nodes
        if node.map is not None
    }
    return Plan(
        spec=spec,
        names=names,
        index=index,
        nodes=nodes,
        counting={node.index: node.join for node in nodes if node.join is not None and node.join.count},
        root=root,
        items=items,
        reducers=_reducers(spec.state),
        limits=spec.limits,
        stops_on_failure=spec.on_failure == "stop",
    )


def _reducers(state: StateSpec) -> dict[str, Reducer]:
    found = {key: find_reducer(name) for key, name in state.reducers.items() if name != "replace"}
    schema = state.schema or {}
    return {key: discreet(reducer) if may_be_secret(schema, key) else reducer for key, reducer in found.items()}


def _map_joins(spec: GraphSpec, names: tuple[str, ...], index: Mapping[str, int]) -> dict[str, int | None]:
    """The join of each map: as given, else where all ways from `to` meet. None if they never reach `end`.

    Where the ways from `to` lead through another map, they go on at that one's join, which may have to be found first.
    """
    routes = {name: node.next for name, node in spec.nodes.items() if isinstance(node.next, MapRoute)}
    joins = {name: None if route.join is None else index[route.join] for name, route in routes.items()}
    unnamed = [name for name, join in joins.items() if join is None]
    for _ in range(MAX_INFERENCES if unnamed else 0):
        flow = [_flow(spec.nodes[name], joins.get(name), names, index) for name in names[:-1]]
        tree = PostDominators(flow, index[END])
        found = {name: tree.after([index[target] for target in routes[name].to]) for name in unnamed}
        if found.items() <= joins.items():
            break
        joins |= found
    return joins


def _flow(node: NodeSpec, map_join: int | None, names: tuple[str, ...], index: Mapping[str, int]) -> list[int]:
    """The moves of a node; a map whose join is not known yet flows through its body."""
    if isinstance(node.next, MapRoute) and map_join is None:
        to = node.next.to
        return [index[move] for move in (*to, *moves_of(node, map_join=to[0]))]
    return [index[move] for move in moves_of(node, map_join=END if map_join is None else names[map_join])]


def _compile_node(name: str, index: Mapping[str, int], spec: NodeSpec, map_joins: Mapping[str, int | None]) -> NodePlan:
    route = spec.next
    return NodePlan(
        name=name,
        index=index[name],
        spec=spec,
        join=None if spec.join is None else JoinPlan(count=spec.join.count, rest=spec.join.rest),
        inputs=_compile_inputs(spec.inputs),
        outputs=None if spec.outputs is None else _compile_outputs(spec.outputs),
        graph=None if spec.graph is None else compile_value(spec.graph),
        cache_key=None if spec.cache is None or spec.cache.key is None else compile_value(spec.cache.key),
        lock=None if spec.lock is None else compile_value(spec.lock),
        route=compile_route(name, spec),
        dynamic=frozenset(route.targets) if isinstance(route, Dynamic) else None,
        map=_compile_map(route, index[END], map_joins[name]) if isinstance(route, MapRoute) else None,
        handlers=tuple(Handler(match=case.match, to=case.to) for case in spec.on_error),
        compensation=None if spec.compensate is None else _compile_inputs(spec.compensate.inputs),
    )


def _compile_inputs(inputs: Mapping[str, Json]) -> dict[str, Callable[[Names], Json]]:
    return {argument: compile_value(value) for argument, value in inputs.items()}


def _compile_map(route: MapRoute, end: int, join: int | None) -> MapPlan:
    tolerated, at_once = route.tolerated_failures, route.max_parallel
    limits = {"tolerated_failures": tolerated, "max_parallel": at_once}
    return MapPlan(
        items=compile_value(route.map),
        as_=route.as_,
        to=route.to,
        join=end if join is None else join,
        join_is_known=join is not None,
        collect={key: compile_value(value) for key, value in route.collect.items()},
        tolerated_failures=Tolerance() if is_expression(tolerated) else Tolerance.of(tolerated),
        max_parallel=at_once if isinstance(at_once, int) else None,
        computed={key: compile_value(limit) for key, limit in limits.items() if is_expression(limit)},
    )


def _compile_outputs(outputs: Mapping[str, Json]) -> OutputsPlan:
    """`{"$set": v}`, as it is written in the definition, replaces; nothing in a result can pretend to be one."""
    replace = {
        key: value["$set"] for key, value in outputs.items() if isinstance(value, dict) and value.keys() == {"$set"}
    }
    return OutputsPlan(
        update={key: compile_value(value) for key, value in outputs.items() if key not in replace},
        replace={key: compile_value(value) for key, value in replace.items()},
    )
