"""A definition as rows, and rows as a definition. Lossless both ways for every definition that keeps the grammar.

Rows may say what no definition can, because people edit them one by one. What JSON can show goes into the JSON, so that
`parse_definition` says where it is wrong; what it cannot show, such as an edge that has no place in its node's routing,
is refused here. Nothing in a row is ignored in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from django.conf import settings

from graphs.errors import DefinitionInvalid, Problem
from graphs.models import Edge, GraphVersion, Node
from graphs.spec import GraphSpec
from graphs.spec.part import JsonObject
from tools import strict_json
from tools.strict_json import Json, JsonInvalid, pointer

_VERSION_TEXT = ("description", "on_failure", "durability")
_VERSION_JSON = ("state", "limits", "retention", "concurrency", "metadata")
_NODE_TEXT = ("label", "description", "tool", "graph", "lock", "executor")
_NODE_JSON = ("inputs", "outputs", "human", "wait", "join", "retry", "cache", "compensate", "metadata")
_NODE_NUMBERS = ("timeout_s", "deadline_s", "heartbeat_timeout_s")
_ROUTE_SLOTS: Mapping[str, frozenset[str]] = {
    Node.Routing.NONE: frozenset(),
    Node.Routing.TO: frozenset({Edge.Slot.NEXT}),
    Node.Routing.FORK: frozenset({Edge.Slot.NEXT}),
    Node.Routing.CONDITION: frozenset({Edge.Slot.IF_TRUE, Edge.Slot.IF_FALSE}),
    Node.Routing.SWITCH: frozenset({Edge.Slot.WHEN, Edge.Slot.DEFAULT}),
    Node.Routing.EACH: frozenset({Edge.Slot.WHEN, Edge.Slot.DEFAULT}),
    Node.Routing.MAP: frozenset({Edge.Slot.MAP_TO, Edge.Slot.MAP_JOIN}),
    Node.Routing.DYNAMIC: frozenset({Edge.Slot.ALLOWED}),
}
_SLOTS_WITH_EXPRESSION = frozenset({Edge.Slot.WHEN, Edge.Slot.ON_ERROR})
_ROUTINGS_WITH_EXPRESSION = frozenset({Node.Routing.CONDITION, Node.Routing.MAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A definition row by row, not saved. `columns` are those of the version."""

    columns: dict[str, str]
    nodes: list[Node]
    edges: list[Edge]


def rows_of(spec: GraphSpec, version: GraphVersion) -> Rows:
    """The rows that hold this definition."""
    written = spec.canonical()
    columns = {
        "name": spec.name,
        "start_node": spec.start_node,
        "on_failure": spec.on_failure,
        "durability": spec.durability,
        "description": spec.description,
        **{key: _text_of(written, key) for key in _VERSION_JSON},
    }
    nodes: list[Node] = []
    edges: list[Edge] = []
    for rank, (name, given) in enumerate(written["nodes"].items()):
        moves = _Moves(version=version, source=name)
        nodes.append(_node_row(version, rank, name, given, moves))
        edges.extend(moves.edges)
    return Rows(columns=columns, nodes=nodes, edges=edges)


def definition_of(version: GraphVersion, nodes: Iterable[Node], edges: Iterable[Edge]) -> JsonObject:
    """The definition that the rows hold; it may break the grammar.

    Raises DefinitionInvalid for what the rows say and JSON could not.
    """
    reader = _Reader()
    definition: JsonObject = {"name": version.name, "start_node": version.start_node, "nodes": {}}
    definition |= {key: getattr(version, key) for key in _VERSION_TEXT}
    definition |= reader.json_columns(version, _VERSION_JSON)
    moves: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        moves[edge.source].append(edge)
    for node in nodes:
        definition["nodes"][node.name] = reader.node(node, moves.pop(node.name, []))
    for source in moves:
        reader.refuse("unknown-source", f'An edge starts at "{source}", but there is no such node.', "nodes", source)
    if reader.problems:
        raise DefinitionInvalid(reader.problems)
    return definition


# --------------------------------------------------------------------------- definition to rows


@dataclass(slots=True, kw_only=True)
class _Moves:
    """Collects the edges of one node."""

    version: GraphVersion
    source: str
    edges: list[Edge] = field(default_factory=list)

    def add(self, slot: str, targets: Json, *, position: int = 0, expression: str = "") -> None:
        for branch, target in enumerate([targets] if isinstance(targets, str) else targets):
            self.edges.append(
                Edge(
                    version=self.version,
                    source=self.source,
                    slot=slot,
                    position=position,
                    branch=branch,
                    expression=expression,
                    target=target,
                )
            )


def _node_row(version: GraphVersion, rank: int, name: str, given: JsonObject, moves: _Moves) -> Node:
    routing, expression, map_options = _add_route(given.get("next"), moves)
    _add_handlers(given, moves)
    position = given.get("position", {})
    return Node(
        version=version,
        name=name,
        rank=rank,
        routing=routing,
        expression=expression,
        map_options=map_options,
        x=position.get("x"),
        y=position.get("y"),
        **{key: given.get(key, "") for key in _NODE_TEXT},
        **{key: _text_of(given, key) for key in _NODE_JSON},
        **{key: given.get(key) for key in _NODE_NUMBERS},
    )


def _add_route(route: Json, moves: _Moves) -> tuple[str, str, str]:
    """Add the edges of `next`; the node's routing, expression and map options."""
    match route:
        case None:
            return Node.Routing.NONE, "", ""
        case str():
            moves.add(Edge.Slot.NEXT, route)
            return Node.Routing.TO, "", ""
        case list():
            moves.add(Edge.Slot.NEXT, route)
            return Node.Routing.FORK, "", ""
        case {"condition": condition}:
            moves.add(Edge.Slot.IF_TRUE, route["if_true"])
            moves.add(Edge.Slot.IF_FALSE, route["if_false"])
            return Node.Routing.CONDITION, condition, ""
        case {"switch": cases} | {"each": cases}:
            for position, case in enumerate(cases):
                moves.add(Edge.Slot.WHEN, case["to"], position=position, expression=case["when"])
            moves.add(Edge.Slot.DEFAULT, route.get("default", []))
            return Node.Routing.SWITCH if "switch" in route else Node.Routing.EACH, "", ""
        case {"dynamic": targets}:
            moves.add(Edge.Slot.ALLOWED, targets)
            return Node.Routing.DYNAMIC, "", ""
        case _:
            moves.add(Edge.Slot.MAP_TO, route["to"])
            moves.add(Edge.Slot.MAP_JOIN, route.get("join", []))
            items, options = route["map"], {k: v for k, v in route.items() if k not in ("map", "to", "join")}
            expression = items if isinstance(items, str) else strict_json.dumps(items)
            return Node.Routing.MAP, expression, strict_json.dumps(options) if options else ""


def _add_handlers(given: JsonObject, moves: _Moves) -> None:
    """Add the edges of on_error, and take those of human and wait out of their objects."""
    on_error = given.get("on_error", [])
    if isinstance(on_error, str) or (on_error and isinstance(on_error[0], str)):
        on_error = [{"to": on_error}]
    for position, case in enumerate(on_error):
        moves.add(Edge.Slot.ON_ERROR, case["to"], position=position, expression=_matches(case.get("match", "")))
    human, wait = given.get("human", {}), given.get("wait", {})
    if isinstance(human.get("on_due"), str):
        moves.add(Edge.Slot.ON_DUE, human.pop("on_due"))
    moves.add(Edge.Slot.ON_TIMEOUT, wait.pop("on_timeout", []))
    for position, entry in enumerate(wait.get("any", [])):
        moves.add(Edge.Slot.ANY, entry.pop("next", []), position=position)


def _text_of(given: JsonObject, key: str) -> str:
    return strict_json.dumps(given[key]) if key in given else ""


# --------------------------------------------------------------------------- rows to definition


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads rows, and collects what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)

    def refuse(self, code: str, message: str, *path: str | int) -> None:
        node = str(path[1]) if len(path) > 1 and path[0] == "nodes" else None
        self.problems.append(Problem(code=code, path=pointer(*path), message=message, node=node))

    def json_columns(self, row: GraphVersion | Node, columns: Sequence[str], *path: str | int) -> JsonObject:
        texts = {column: getattr(row, column) for column in columns}
        return {column: self.json(text, *path, column) for column, text in texts.items() if text.strip()}

    def json(self, text: str, *path: str | int) -> Json:
        limits = settings.WORKFLOW
        try:
            return strict_json.parse(text, max_bytes=limits.max_definition_bytes, max_depth=limits.max_json_depth)
        except JsonInvalid as error:
            self.refuse(error.code, str(error), *path, *error.path.split("/")[1:])
            return None

    def node(self, row: Node, edges: Iterable[Edge]) -> JsonObject:
        by_slot: dict[str, list[Edge]] = defaultdict(list)
        for edge in sorted(edges, key=attrgetter("position", "branch")):
            by_slot[edge.slot].append(edge)
        given = {key: getattr(row, key) for key in (*_NODE_TEXT, *_NODE_NUMBERS) if getattr(row, key) not in ("", None)}
        given |= self.json_columns(row, _NODE_JSON, "nodes", row.name)
        if row.x is not None or row.y is not None:
            given["position"] = {axis: getattr(row, axis) for axis in "xy" if getattr(row, axis) is not None}
        self._check_expressions(row, by_slot)
        route = self._route(row, {slot: by_slot.pop(slot, []) for slot in _ROUTE_SLOTS[row.routing]})
        if route is not None:
            given["next"] = route
        self._handlers(row, given, by_slot)
        return given

    def _check_expressions(self, row: Node, by_slot: Mapping[str, list[Edge]]) -> None:
        has_expression = row.routing in _ROUTINGS_WITH_EXPRESSION
        if (row.expression and not has_expression) or (row.map_options and row.routing != Node.Routing.MAP):
            message = f'The routing "{row.get_routing_display()}" uses neither expression nor map options; empty them.'
            self.refuse("column-without-effect", message, "nodes", row.name, "next")
        for slot, edges in by_slot.items():
            if slot not in _SLOTS_WITH_EXPRESSION and any(edge.expression for edge in edges):
                message = f'An edge of the slot "{Edge.Slot(slot).label}" has no expression; empty it.'
                self.refuse("column-without-effect", message, "nodes", row.name)

    def _route(self, row: Node, slots: Mapping[str, list[Edge]]) -> Json:
        match row.routing:
            case Node.Routing.NONE:
                return None
            case Node.Routing.TO | Node.Routing.FORK:
                return _targets(slots[Edge.Slot.NEXT])
            case Node.Routing.CONDITION:
                return {"condition": row.expression, **_filled(slots)}
            case Node.Routing.SWITCH | Node.Routing.EACH:
                cases = list(self._cases(row, slots[Edge.Slot.WHEN], "when"))
                return {row.routing: cases, **_filled({"default": slots[Edge.Slot.DEFAULT]})}
            case Node.Routing.DYNAMIC:
                return {"dynamic": [edge.target for edge in slots[Edge.Slot.ALLOWED]]}
            case _:
                ways = {"to": slots[Edge.Slot.MAP_TO], "join": slots[Edge.Slot.MAP_JOIN]}
                return {**self._map(row), **_filled(ways)}

    def _map(self, row: Node) -> JsonObject:
        path = ("nodes", row.name, "next")
        is_list = row.expression.lstrip().startswith("[")
        items = self.json(row.expression, *path, "map") if is_list else row.expression
        options = self.json(row.map_options, *path) if row.map_options.strip() else {}
        if not isinstance(options, dict):
            self.refuse("wrong-type", "Write a JSON object as map options.", *path)
            options = {}
        return {"map": items, **options}

    def _cases(self, row: Node, edges: Iterable[Edge], word: str) -> Iterator[JsonObject]:
        """One case for each position, its targets in the order of `branch`."""
        for position, group in groupby(edges, key=attrgetter("position")):
            branches = list(group)
            expressions = {edge.expression for edge in branches}
            if len(expressions) > 1:
                message = f"The edges of case {position} have unlike expressions; they are branches of one case."
                self.refuse("unlike-expressions", message, "nodes", row.name)
            match = {word: branches[0].expression} if branches[0].expression or word == "when" else {}
            yield {**match, "to": _targets(branches)}

    def _handlers(self, row: Node, given: JsonObject, slots: dict[str, list[Edge]]) -> None:
        """Put the edges of on_error, human and wait where they belong; refuse those that belong nowhere."""
        cases = list(self._cases(row, slots.pop(Edge.Slot.ON_ERROR, []), "match"))
        for position, case in enumerate(cases):
            if case.get("match", "").startswith("["):
                case["match"] = self.json(case["match"], "nodes", row.name, "on_error", position, "match")
        if cases:
            given["on_error"] = cases
        human, wait = given.get("human"), given.get("wait")
        if isinstance(human, dict) and Edge.Slot.ON_DUE in slots:
            human["on_due"] = _targets(slots.pop(Edge.Slot.ON_DUE))
        if isinstance(wait, dict) and Edge.Slot.ON_TIMEOUT in slots:
            wait["on_timeout"] = _targets(slots.pop(Edge.Slot.ON_TIMEOUT))
        entries = wait.get("any") if isinstance(wait, dict) else None
        if isinstance(entries, list) and Edge.Slot.ANY in slots:
            slots[Edge.Slot.ANY] = _unplaced(entries, slots[Edge.Slot.ANY])
        for slot in (slot for slot, edges in slots.items() if edges):
            message = f'An edge of the slot "{Edge.Slot(slot).label}" has no place in this node; remove or change it.'
            self.refuse("edge-without-effect", message, "nodes", row.name)


def _matches(match: Json) -> str:
    """What an edge of on_error matches, as its expression: a name, or a list of names as JSON."""
    if isinstance(match, str) and not match.startswith("["):
        return match
    return strict_json.dumps([match] if isinstance(match, str) else match)


def _unplaced(entries: list[Json], edges: list[Edge]) -> list[Edge]:
    """Give the entries of a wait their targets; the edges for which there is no entry."""
    for position, group in groupby(edges, key=attrgetter("position")):
        if position < len(entries) and isinstance(entries[position], dict):
            entries[position]["next"] = _targets(list(group))
    return [edge for edge in edges if edge.position >= len(entries)]


def _filled(slots: Mapping[str, list[Edge]]) -> JsonObject:
    return {str(slot): _targets(edges) for slot, edges in slots.items() if edges}


def _targets(edges: Sequence[Edge]) -> Json:
    return edges[0].target if len(edges) == 1 else [edge.target for edge in edges]
