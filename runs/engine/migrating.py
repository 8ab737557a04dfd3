"""Moving a run to another version of its graph (rule R18).

Every branch of the root and of its open items goes to the node of the same name, or to the one that a mapping names in
its place. Open subgraphs keep the definition that they began with, and so do the compensations of steps that are over.
All else is the new version's from here on: what a node calls and where it leads, joins, limits, handlers.

A migration is refused whole, with all its reasons, where the new version has no place for a branch, or would give
another meaning to what has begun: a call or a wait under way, the items of an open map, a join with branches parked at
it, the writes of a key whose reducer is another. What is held or frozen may change: that is what a patch is for.

A key that only the new version has a default for gets it. Then every join is looked at again, since branches that could
have come may have lost their way. In a failed run that may set something free; else it fails again, as it had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from graphs.plan import JoinPlan, NodePlan, Plan, ScopePlan
from graphs.spec import END, MapRoute
from runs.engine.branches import Branch, Status
from runs.engine.decisions import CollectItem, FinishChild, InFlight
from runs.engine.events import JsonObject, RunMigrated, StepId, StepMoved
from runs.engine.failures import all_frozen
from runs.engine.masks import bits
from runs.engine.pausing import begin_all, held, settle_scopes
from runs.engine.positions import is_fatal
from runs.engine.scopes import Scope
from runs.engine.snapshots import dump_state, load_state
from runs.engine.state import RunState
from runs.engine.turn import Turn

Names = Mapping[str, str]
"""By the name of a node: its name in the new version, where that is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where a branch goes. `to` is None where the new version has no such node."""

    step: StepId
    path: str
    node: str
    to: str | None
    status: str
    """`running`, `held`, `parked`, `open` or `frozen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A reason why the run cannot be migrated. `node` is empty where it concerns the whole run."""

    code: str
    message: str
    node: str = ""
    path: str = ""
    mapped: str = ""
    """The name in the mapping that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """What a migration would do: possible if there are no obstacles."""

    moves: tuple[Move, ...]
    obstacles: tuple[Obstacle, ...]


def plan_migration(state: RunState, graph: Plan, mapping: Names) -> MigrationPlan:
    """Where the branches of the run would go in `graph`, and all that is in the way. Changes nothing."""
    survey = _Survey(state, graph, mapping)
    survey.look_at_run()
    survey.look_at_scope(state.root, graph.root)
    return MigrationPlan(moves=tuple(survey.moves), obstacles=tuple(survey.obstacles))


def migrate(turn: Turn, event: RunMigrated) -> bool:
    """Whether nothing was in the way. Raises ValueError for a plan that is not known."""
    state = turn.state
    graph = state.plans.get(event.digest)
    if graph is None:
        raise ValueError(f"The plan of the version {event.version} is not known; put it into `plans`.")
    if plan_migration(state, graph, event.mapping).obstacles:
        return False
    places = _places(state)
    _keep_compensations(state)
    _become(state, _translated(state, graph, event))
    for step, place in _places(state).items():
        if place != places[step]:
            turn.events.append(StepMoved(step=step, node=place[0], path=place[1]))
    fatal = (is_fatal(branch.scope) for branch, _ in all_frozen(state.root))
    state.status, state.is_stopping = "running", graph.stops_on_failure and any(fatal)
    begin_all(turn, held(state))
    settle_scopes(turn, [scope for scope in _scopes_of(state.root) if scope.branches])
    return True


# --------------------------------------------------------------------------- what is in the way


class _Survey:
    """Compares what has begun with what the new version says of it."""

    def __init__(self, state: RunState, graph: Plan, mapping: Names) -> None:
        self._state = state
        self._before = state.root.graph
        self._graph = graph
        self._mapping = mapping
        self.moves: list[Move] = []
        self.obstacles: list[Obstacle] = []

    def look_at_run(self) -> None:
        if self._state.status not in ("running", "failed"):
            self._refuse("run-over", f"The run is {self._state.status}.")
        elif self._state.compensating is not None:
            self._refuse("run-undoing", "The run undoes, or has undone, what it did.")
        elif self._state.is_cancelling:
            self._refuse("run-ending", "The run is being cancelled.")
        for old, new in self._mapping.items():
            if old not in self._before.index:
                self._refuse(
                    "mapping-unknown",
                    f'The mapping names "{old}", which the present version does not have.',
                    mapped=old,
                )
            if new not in self._graph.index or END in (old, new):
                self._refuse(
                    "mapping-unknown", f'The mapping leads to "{new}", which is no node of the new version.', mapped=old
                )

    def look_at_scope(self, scope: Scope, tables: ScopePlan | None) -> None:
        """`tables` are the new version's; None where it has no such scope, of which an obstacle tells already."""
        for branch in scope.branches.values():
            target = self._target(branch)
            status = branch.status.name.lower()
            name = scope.graph.names[branch.node]
            to = None if target is None else self._graph.names[target]
            self.moves.append(Move(step=branch.id, path=scope.path, node=name, to=to, status=status))
            if target is None:
                self._refuse("node-missing", "The new version has no such node; map it to another.", branch)
            elif tables is not None and target not in tables.reach:
                message = f'In the new version no branch of this scope comes to "{to}"; map the node to another.'
                self._refuse("node-out-of-reach", message, branch)
            elif target != self._graph.end:
                self._compare(branch, branch.node_plan, self._graph.nodes[target])
            if branch.map is not None:
                for item in branch.map.scopes.values():
                    self.look_at_scope(item, None if target is None else self._graph.items.get(target))
        self._compare_reducers(scope)

    def _target(self, branch: Branch) -> int | None:
        name = self._before.names[branch.node]
        return self._graph.index.get(self._mapping.get(name, name))

    def _compare(self, branch: Branch, old: NodePlan, new: NodePlan) -> None:
        if branch.status is Status.PARKED and old.join != new.join:
            self._refuse("join-changed", "Branches wait at it, and the new version joins otherwise.", branch)
        for node in bits(branch.marks):
            if self._before.nodes[node].join != self._join_at(node):
                message = f'The join at "{self._before.names[node]}" has fired without it and is another one now.'
                self._refuse("join-changed", message, branch)
        if branch.map is not None and not self._is_same_map(old, new):
            message = (
                "Its items have begun, and the new version has other items, limits, another collect or another join."
            )
            self._refuse("map-changed", message, branch)
        elif branch.is_waiting and (old.spec.wait, old.spec.human) != (new.spec.wait, new.spec.human):
            self._refuse("wait-changed", "The step waits for something else than in the new version.", branch)
        elif branch.child is not None and new.graph is None:
            self._refuse("kind-changed", "Its subgraph is open, and the new version calls none.", branch)
        elif _has_called(branch) and (old.spec.kind, old.spec.tool) != (new.spec.kind, new.spec.tool):
            self._refuse("tool-changed", "The step is under way, and the new version calls something else.", branch)

    def _join_at(self, node: int) -> JoinPlan | None:
        name = self._before.names[node]
        target = self._graph.index.get(self._mapping.get(name, name))
        return None if target is None else self._graph.nodes[target].join

    def _is_same_map(self, old: NodePlan, new: NodePlan) -> bool:
        before, after = old.spec.next, new.spec.next
        if old.map is None or new.map is None or not (isinstance(before, MapRoute) and isinstance(after, MapRoute)):
            return False
        join = self._before.names[old.map.join]
        is_same_join = self._mapping.get(join, join) == self._graph.names[new.map.join]
        is_same_work = (before.map, before.as_, before.collect) == (after.map, after.as_, after.collect)
        is_computed = old.map.computed or new.map.computed
        limits = [(route.tolerated_failures, route.max_parallel) for route in (before, after)]
        return is_same_join and is_same_work and (not is_computed or limits[0] == limits[1])

    def _compare_reducers(self, scope: Scope) -> None:
        before, after = self._before.spec.state.reducers, self._graph.spec.state.reducers
        for key in sorted(_open_keys(scope)):
            old, new = before.get(key, "replace"), after.get(key, "replace")
            if old != new:
                place = f"In {scope.path} the" if scope.path else "The"
                message = f'{place} order of writes to "{key}" is open, and its reducer {old} is {new} now.'
                self._refuse("reducer-changed", message)

    def _refuse(self, code: str, message: str, branch: Branch | None = None, *, mapped: str = "") -> None:
        if branch is None:
            self.obstacles.append(Obstacle(code=code, message=message, mapped=mapped))
            return
        scope, node = branch.scope, branch.scope.graph.names[branch.node]
        place = f'"{node}" ({scope.path})' if scope.path else f'"{node}"'
        self.obstacles.append(Obstacle(code=code, message=f"{place}: {message}", node=node, path=scope.path))


def as_called_now(state: RunState, decision: InFlight) -> InFlight:
    """A migration may have given other names to the step's node and to what is around it."""
    branch = state.branches.get(decision.step)
    if branch is None or isinstance(decision, CollectItem | FinishChild):
        return decision
    scope = branch.scope
    return replace(decision, node=scope.graph.names[branch.node], path=scope.path, items=scope.items)


def _has_called(branch: Branch) -> bool:
    """Whether its step may be under way, or has done parts of its work."""
    return branch.status is Status.RUNNING or (branch.progress is not None and bool(branch.progress.parts))


def _open_keys(scope: Scope) -> set[str]:
    """The keys whose writes a reducer has still to fold."""
    keys = set(scope.exported or ())
    if scope.ledger is not None:
        keys.update(scope.ledger.updaters, scope.ledger.setters)
    for branch in scope.branches.values():
        if branch.map is not None and not branch.map.plan.collect:
            keys.update(*branch.map.results.values())
    return keys


# --------------------------------------------------------------------------- translating


def _keep_compensations(state: RunState) -> None:
    """Steps that are over are undone as the version says with which they ran."""
    before = state.root.graph
    if state.compensations:
        digest = before.spec.sha256
        state.plans[digest] = before
        state.compensations = [replace(one, digest=one.digest or digest) for one in state.compensations]


def _translated(state: RunState, graph: Plan, event: RunMigrated) -> RunState:
    """The same state of a run of `graph`. Through a snapshot: that has names where the engine has numbers."""
    data = dump_state(state)
    data["digest"] = event.digest
    _rename(data["root"], graph, event.mapping)
    known = set(state.root.graph.spec.state.defaults).union(data["root"]["base"], data["root"].get("deleted", ()))
    known |= _open_keys(state.root)
    defaults = graph.spec.state.defaults
    data["root"]["base"] |= {key: value for key, value in defaults.items() if key not in known}
    return load_state(graph, data, lambda digest, _: state.plans[digest])


def _rename(scope: JsonObject, graph: Plan, mapping: Names) -> None:
    turns: Counter[str] = Counter()
    for node, count in scope["turns"].items():
        if (name := mapping.get(node, node)) in graph.index:
            turns[name] += count
    scope["turns"] = dict(turns)
    for write in scope.get("writes", ()):
        for key, node in write.get("nodes", {}).items():
            name = mapping.get(node, node)
            write["nodes"][key] = name if name in graph.index else END  # only words of a conflict name it
    for branch in scope["branches"]:
        branch["node"] = mapping.get(branch["node"], branch["node"])
        if "marks" in branch:
            branch["marks"] = [mapping.get(node, node) for node in branch["marks"]]
        for _, item in branch.get("map", {}).get("scopes", ()):
            _rename(item, graph, mapping)


def _become(state: RunState, other: RunState) -> None:
    """In place: whoever drives the run holds on to `state`."""
    other.plans = state.plans
    for name in RunState.__slots__:
        setattr(state, name, getattr(other, name))


def _places(state: RunState) -> dict[StepId, tuple[str, str]]:
    """Node and path of each step that is not over."""
    return {step: (branch.scope.graph.names[branch.node], branch.scope.path) for step, branch in state.branches.items()}


def _scopes_of(root: Scope) -> Iterator[Scope]:
    """The root and its open items, also those in items: all scopes of this graph but of no subgraph."""
    return (scope for scope in root.with_inner() if scope.home is root)
