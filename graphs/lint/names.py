"""Rules on the names that expressions and arguments look up in the state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from graphs.errors import Problem
from graphs.expressions import compile_expression, expressions_in, is_expression
from graphs.lint.graph import LintedGraph, Path
from graphs.lint.keys import Writes, declared_keys, is_closed, required_keys, writes_of
from graphs.spec import LOCAL_NAMES, Choice, Each, MapRoute, NodeSpec, Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A look-up of one name that fails if the name is not there."""

    name: str
    node: str
    path: Path
    in_outputs: bool = False
    in_routing: bool = False
    in_collect: bool = False
    is_argument: bool = False


def check_names(graph: LintedGraph) -> Iterator[Problem]:
    writes = {name: writes_of(graph, node) for name, node in graph.spec.nodes.items()}
    yield from _shadowed(graph, writes)
    yield from _reads(graph, writes)


# --------------------------------------------------------------------------- shadowed names


def _shadowed(graph: LintedGraph, writes: dict[str, Writes]) -> Iterator[Problem]:
    state = graph.spec.state
    known = declared_keys(state).union(*(one.possible for one in writes.values()))
    places: list[tuple[str, Path]] = [(key, ("state", "defaults", key)) for key in state.defaults]
    for name, node in graph.spec.nodes.items():
        places += [(key, ("nodes", name, "outputs", key)) for key in node.outputs or ()]
        if isinstance(node.next, MapRoute):
            places += [(key, ("nodes", name, "next", "collect", key)) for key in node.next.collect]
            if node.next.as_ in known:
                message = (
                    f'Inside the map "{node.next.as_}" is the item, so the state key of that name is hidden; '
                    'rename one of them, or write state["…"] for the key.'
                )
                yield graph.problem("name-shadowed", message, "nodes", name, "next", "as")
    for key, path in places:
        if key in LOCAL_NAMES:
            message = f'Expressions use the name "{key}" otherwise; rename the key, or write state["{key}"] for it.'
            yield graph.problem("name-shadowed", message, *path)


# --------------------------------------------------------------------------- names that are not there


def _reads(graph: LintedGraph, writes: dict[str, Writes]) -> Iterator[Problem]:
    state = graph.spec.state
    items = _item_names(graph)
    handlers = {target for node in graph.spec.nodes.values() for case in node.on_error for target in case.to}
    elsewhere = LOCAL_NAMES.union(*items.values()) if items else LOCAL_NAMES
    written = frozenset[str]().union(*(one.possible for one in writes.values()))
    from_input: dict[str, list[_Read]] = {}
    for name, node in graph.spec.nodes.items():
        local = {"state"} | items.get(name, set()) | ({"error"} if name in handlers else set())
        for read in _reads_of(graph, name, node):
            if read.name in local or (read.name == "result" and read.in_outputs):
                continue
            if read.in_collect and read.name in items.get(_body_of(node), ()):
                continue
            if read.name in required_keys(state):
                continue
            if read.name not in written and (problem := _undefined(graph, read, elsewhere)) is not None:
                yield problem
            elif not read.in_collect:
                from_input.setdefault(read.name, []).append(read)
    yield from _from_input(graph, writes, from_input)


def _body_of(node: NodeSpec) -> str:
    return node.next.to[0] if isinstance(node.next, MapRoute) else ""


def _undefined(graph: LintedGraph, read: _Read, elsewhere: frozenset[str]) -> Problem | None:
    state = graph.spec.state
    if read.name in declared_keys(state):
        return None
    if is_closed(state):
        hint = graph.hints.did_you_mean(read.name, declared_keys(state)) or " Add it to the schema's properties."
        if read.is_argument:
            message = f'Nothing can give the argument "{read.name}": name it in inputs.{hint}'
            return graph.problem("missing-argument", message, *read.path)
        message = f'The state can have no key "{read.name}", its schema allows no other properties.{hint}'
        return graph.problem("undefined-name", message, *read.path)
    if read.name in elsewhere and not read.is_argument:
        message = (
            f'"{read.name}" is not known here: result is for outputs, error for the node that an error leads to, '
            "an item and its index for the body of their map."
        )
        return graph.problem("undefined-name", message, *read.path, level="warning")
    return None


def _from_input(graph: LintedGraph, writes: dict[str, Writes], reads: dict[str, list[_Read]]) -> Iterator[Problem]:
    """Of the reads of each key, the first that a branch can come to before any node has written the key."""
    writers: dict[str, set[str]] = {}
    for name, one in writes.items():
        for key in one.possible:
            writers.setdefault(key, set()).add(name)
    always_writing = frozenset(name for name, one in writes.items() if one.is_open)
    early: dict[frozenset[str], set[str]] = {}
    for key, places in reads.items():
        writing = always_writing | writers.get(key, set())
        if writing not in early:
            if not graph.may_visit(len(writes)):
                return
            early[writing] = _reached_before(graph, writing)
        read = next((read for read in places if _is_early(read, early[writing], writing)), None)
        if read is not None:
            what = f'the argument "{key}"' if read.is_argument else f'"{key}"'
            message = (
                f"Nothing before this node writes {what}: the initial state must have it, or give it a default "
                "under state.defaults."
            )
            is_needed = not writing or read.node == graph.spec.start_node
            yield graph.problem("key-from-input", message, *read.path, key=key, is_needed=is_needed)


def _is_early(read: _Read, early: set[str], writing: frozenset[str]) -> bool:
    """Routing sees the state after the update, so what the node itself writes counts for it."""
    return read.node in early and not (read.in_routing and read.node in writing)


def _reached_before(graph: LintedGraph, writing: frozenset[str]) -> set[str]:
    """The nodes that a branch can come to without passing one of those that write."""
    reached: set[str] = set()
    waiting = deque([graph.spec.start_node])
    while waiting:
        name = waiting.popleft()
        if name in reached or name not in graph.spec.nodes:
            continue
        reached.add(name)
        if name not in writing:
            route = graph.spec.nodes[name].next
            waiting.extend(route.to if isinstance(route, MapRoute) else ())
            waiting.extend(map(graph.name, graph.moves[graph.plan.index[name]]))
    return reached


def _item_names(graph: LintedGraph) -> dict[str, set[str]]:
    """For each node the names of the items whose maps' bodies it can be in, and `index`."""
    names: dict[str, set[str]] = {}
    for opener, route, _, scope in graph.maps:
        visible = {route.as_, "index"} | names.get(opener, set())
        for node in scope.successors:
            names.setdefault(graph.name(node), set()).update(visible)
    return names


# --------------------------------------------------------------------------- where names are read


def _reads_of(graph: LintedGraph, name: str, node: NodeSpec) -> Iterator[_Read]:
    path: Path = ("nodes", name)
    for argument in _open_arguments(graph, node):
        yield _Read(name=argument, node=name, path=(*path, "tool"), is_argument=True)
    for place, source in _sources(node):
        expression = compile_expression(source)
        for read in sorted(expression.names - expression.optional_names):
            yield _Read(
                name=read,
                node=name,
                path=(*path, *place),
                in_outputs=place[0] == "outputs",
                in_routing=place[0] == "next",
                in_collect=place[:2] == ("next", "collect"),
            )


def _open_arguments(graph: LintedGraph, node: NodeSpec) -> list[str]:
    """Required arguments that are not among the inputs, so that they come from the state."""
    tool = graph.tools.get(node.tool or "")
    if tool is None:
        return []
    return [
        parameter.name
        for parameter in tool.parameters
        if parameter.kind == "argument" and parameter.required and parameter.name not in node.inputs
    ]


def _sources(node: NodeSpec) -> Iterator[tuple[Path, str]]:
    """Every expression of a node with its path."""
    yield from expressions_in(node.inputs, ("inputs",))
    yield from expressions_in(node.outputs, ("outputs",))
    for key in ("graph", "lock"):
        if is_expression(getattr(node, key)):
            yield (key,), getattr(node, key)
    if node.cache is not None and node.cache.key is not None:
        yield ("cache", "key"), node.cache.key
    if node.wait is not None:
        yield from expressions_in(node.wait.to_json(), ("wait",))
    match node.next:
        case Choice(condition=condition):
            yield ("next", "condition"), condition
        case Switch(cases=cases) | Each(cases=cases):
            word = "switch" if isinstance(node.next, Switch) else "each"
            for number, case in enumerate(cases):
                yield ("next", word, number, "when"), case.when
        case MapRoute(map=items, collect=collect):
            yield from expressions_in(items, ("next", "map"))
            for key in ("tolerated_failures", "max_parallel"):
                yield from expressions_in(getattr(node.next, key), ("next", key))
            yield from expressions_in(collect, ("next", "collect"))
