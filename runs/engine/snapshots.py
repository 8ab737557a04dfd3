"""A run's whole state as a JSON object, and back.

Kept only to make reading fast: folding the journal gives the same state. What can be computed from the rest (views,
positions, counters) is left out and computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphs.plan import Plan
from runs.engine.branches import LIVE, Branch, Cause, Frozen, Status
from runs.engine.children import FindPlan, child_scope, learn_plan
from runs.engine.codec import failure_from_data, failure_to_data
from runs.engine.compensating import scope_of
from runs.engine.compensations import Compensating, Compensation
from runs.engine.events import Json, JsonObject
from runs.engine.ledger import ABSENT, Ledger, Write
from runs.engine.maps import open_scope
from runs.engine.masks import MaskCodec, bits, mask_from_data
from runs.engine.merging import merge_ended
from runs.engine.progress import Progress
from runs.engine.scopes import Child, OpenMap, Scope
from runs.engine.state import RunState

FORMAT = 1


def dump_state(state: RunState) -> JsonObject:
    """The state as a JSON object that shares values with it. Costs as much as the state is large."""
    return {
        "format": FORMAT,
        "status": state.status,
        "scheduled": state.root.scheduled,
        "stopping": state.is_stopping,
        "exhausted": state.root.is_exhausted,
        "definitions": state.definitions,
        "max_state_bytes": state.max_state_bytes,
        **({"checks_schema": True} if state.checks_schema else {}),
        **({"matches_inside": True} if state.matches_inside else {}),
        **_dump_control(state),
        "root": _dump_scope(state.root),
    }


def load_state(plan: Plan, data: JsonObject, find_plan: FindPlan | None = None) -> RunState:
    """The state that `data`, of a run that began with `plan`, was made from.

    `find_plan` finds the plans of its subgraphs, and that of the version to which the run was migrated. Raises
    ValueError for an unknown format.
    """
    if data.get("format") != FORMAT:
        raise ValueError(f"A snapshot of format {data.get('format')} cannot be read by this release.")
    state = RunState(
        Scope(plan, plan.root, {}),
        max_state_bytes=data.get("max_state_bytes"),
        checks_schema=data.get("checks_schema", False),
        matches_inside=data.get("matches_inside", False),
    )
    if "digest" in data:
        state.digest = data["digest"]
        plan = learn_plan(state, state.digest, None, find_plan)
        state.root = Scope(plan, plan.root, {})
    state.status = data["status"]
    state.root.scheduled = data["scheduled"]
    state.is_stopping = data["stopping"]
    state.root.is_exhausted = data["exhausted"]
    state.definitions = dict(data.get("definitions", {}))
    state.is_paused = data.get("paused", False)
    state.breakpoints = tuple(data.get("breakpoints", ()))
    state.hits = dict(data.get("hits", {}))
    state.is_cancelling = data.get("cancelling", False)
    loader = _Loader(state, find_plan)
    state.compensations = [loader.load_compensation(one) for one in data.get("compensations", ())]
    loader.load_scope(state.root, data["root"])
    if "compensating" in data:
        loader.load_compensating(data["compensating"])
    if state.status == "completed":
        state.final = state.root.state({})
    return state


# --------------------------------------------------------------------------- writing


def _dump_control(state: RunState) -> JsonObject:
    """What people have asked of the run; most runs are left alone."""
    optional = {
        "digest": state.digest,
        "paused": state.is_paused,
        "breakpoints": list(state.breakpoints),
        "hits": dict(state.hits),
        "cancelling": state.is_cancelling,
        "compensations": [_dump_compensation(compensation) for compensation in state.compensations],
        "compensating": _dump_compensating(state.compensating) if state.compensating else None,
    }
    return {key: value for key, value in optional.items() if value}


def _dump_compensation(compensation: Compensation) -> JsonObject:
    return {
        "step": compensation.step.hex(),
        "node": compensation.node,
        "path": compensation.path,
        "inputs": compensation.inputs,
        **({} if compensation.digest is None else {"digest": compensation.digest}),
    }


def _dump_compensating(phase: Compensating) -> JsonObject:
    return {
        "reason": phase.reason,
        "current": _dump_compensation(phase.current),
        "branches": [_dump_branch(branch, MaskCodec([])) for branch in phase.scope.branches.values()],
        "errors": [[step.hex(), node, failure_to_data(error)] for step, node, error in phase.errors],
    }


def _dump_scope(scope: Scope) -> JsonObject:
    names = scope.plan.names
    writes = scope.ledger.writes if scope.ledger else []
    masks = MaskCodec([write.past for write in writes])
    scope.own_lists.clear()
    data: JsonObject = {
        "base": _present(scope.base),
        "turns": {names[node]: turns for node, turns in scope.turns.items()},
        "branches": [_dump_branch(branch, masks) for branch in scope.branches.values()],
    }
    optional = {
        "deleted": _deleted(scope.base),
        "writes": [_dump_write(number, write, masks, names) for number, write in enumerate(writes)],
        "foreseen": sorted(scope.ledger.foreseen) if scope.ledger else [],
        "ended": masks.to_data(scope.ended) if scope.ended else None,
        "collecting": scope.is_collecting,
        "free": scope.is_free,
        "stuck": scope.is_stuck,
        "exported": scope.exported,
    }
    return data | {key: value for key, value in optional.items() if value}


def _dump_write(number: int, write: Write, masks: MaskCodec, names: tuple[str, ...]) -> JsonObject:
    data: JsonObject = {"key": list(write.key)}
    if write.updates:
        data["updates"] = {key: list(updates) for key, updates in write.updates.items()}
    if write.sets:
        data["sets"], data["deletes"] = _present(write.sets), _deleted(write.sets)
        data["nodes"] = {key: names[write.nodes[key]] for key in write.sets}
    if write.past:
        data["past"] = masks.to_data(write.past, below=number)
    return data


def _dump_branch(branch: Branch, masks: MaskCodec) -> JsonObject:
    names = branch.scope.plan.names
    data: JsonObject = {
        "id": branch.id.hex(),
        "key": list(branch.key),
        "node": names[branch.node],
        "status": branch.status.name.lower(),
    }
    optional = {
        "attempt": branch.attempt,
        "counted": branch.is_counted,
        "steps_over": branch.steps_over,
        "mask": masks.to_data(branch.mask) if branch.mask else None,
        "last_write": branch.last_write[0] + 1 if branch.mask and branch.mask == branch.last_write[1] else None,
        "marks": [names[node] for node in bits(branch.marks)],
        "error": branch.error,
        "payload": branch.payload,
        "frozen": _dump_frozen(branch.frozen) if branch.frozen else None,
        "map": _dump_map(branch.map) if branch.map else None,
        "child": _dump_child(branch.child) if branch.child else None,
        "progress": _dump_progress(branch.progress) if branch.progress else None,
    }
    return data | {key: value for key, value in optional.items() if value}


def _dump_frozen(frozen: Frozen) -> JsonObject:
    error = failure_to_data(frozen.error)
    return {"cause": frozen.cause.value, "error": error, "unresolved": sorted(frozen.unresolved)}


def _dump_progress(progress: Progress) -> JsonObject:
    data: JsonObject = {}
    if progress.failures:
        data["failures"] = _dump_failures(progress.failures)
    if progress.not_before:
        data["not_before"] = progress.not_before
    if progress.heartbeat is not None:
        data["heartbeat"] = progress.heartbeat
    if progress.parts:
        data["parts"] = dict(progress.parts)
    if progress.wait is not None:
        data["wait"] = progress.wait
    return data


def _dump_failures(failures: Mapping[int, int]) -> Json:
    """A number where there is one policy, as in most."""
    return failures[0] if failures.keys() == {0} else [[policy, count] for policy, count in sorted(failures.items())]


def _dump_map(opened: OpenMap) -> JsonObject:
    is_limited_anew = opened.max_parallel != opened.plan.max_parallel
    return {
        **({"max_parallel": opened.max_parallel} if is_limited_anew else {}),
        **({} if opened.tolerated is None else {"tolerated": opened.tolerated}),
        "items": list(opened.items),
        "results": [[index, values] for index, values in opened.results.items()],
        "scopes": [[index, _dump_scope(scope)] for index, scope in opened.scopes.items()],
    }


def _dump_child(child: Child) -> JsonObject:
    scope = child.scope
    return {
        "graph": child.graph,
        "digest": child.digest,
        "timeout_at": child.timeout_at,
        "scheduled": scope.scheduled,
        "exhausted": scope.is_exhausted,
        "scope": _dump_scope(scope),
    }


def _present(values: JsonObject) -> JsonObject:
    return {key: value for key, value in values.items() if value is not ABSENT}


def _deleted(values: JsonObject) -> list[str]:
    return sorted(key for key, value in values.items() if value is ABSENT)


# --------------------------------------------------------------------------- reading


def _load_progress(data: JsonObject) -> Progress:
    progress = Progress()
    failures = data.get("failures", [])
    progress.failures = {0: failures} if isinstance(failures, int) else dict(failures)
    progress.not_before = data.get("not_before", "")
    progress.heartbeat = data.get("heartbeat")
    progress.parts = dict(data.get("parts", {}))
    progress.wait = data.get("wait")
    return progress


class _Loader:
    """Builds the scopes of a state, and counts what is in flight."""

    def __init__(self, state: RunState, find_plan: FindPlan | None) -> None:
        self._find_plan = find_plan
        self._state = state

    def load_scope(self, scope: Scope, data: JsonObject) -> None:
        index = scope.graph.index
        scope.base = {**data["base"], **dict.fromkeys(data.get("deleted", ()), ABSENT)}
        scope.turns = {index[name]: turns for name, turns in data["turns"].items()}
        pasts = self._load_ledger(scope, data)
        scope.ended = mask_from_data(data["ended"], pasts) if "ended" in data else 0
        scope.is_stuck = data.get("stuck", False)
        scope.is_free = data.get("free", False)
        scope.is_collecting = data.get("collecting", False)
        self._state.pending += scope.is_collecting
        if "exported" in data:
            scope.exported = {key: list(updates) for key, updates in data["exported"].items()}
        for branch_data in data["branches"]:
            self._load_branch(scope, branch_data, pasts)

    def load_compensation(self, data: JsonObject) -> Compensation:
        digest = data.get("digest")
        graph = self._state.root.graph if digest is None else self._plan_of(digest)
        step = bytes.fromhex(data["step"])
        return Compensation(
            step=step, node=data["node"], path=data["path"], inputs=data["inputs"], graph=graph, digest=digest
        )

    def load_compensating(self, data: JsonObject) -> None:
        current = self.load_compensation(data["current"])
        phase = Compensating(reason=data["reason"], current=current, scope=scope_of(current))
        phase.errors = [(bytes.fromhex(step), node, failure_from_data(error)) for step, node, error in data["errors"]]
        for branch_data in data["branches"]:
            self._load_branch(phase.scope, branch_data, [])
        for branch in phase.scope.branches.values():
            branch.undoes = current.step
        self._state.compensating = phase

    def _load_ledger(self, scope: Scope, data: JsonObject) -> list[int]:
        pasts: list[int] = []
        if "writes" not in data:
            return pasts
        scope.ledger = Ledger()
        scope.ledger.foreseen.update(data.get("foreseen", ()))
        for write in data["writes"]:
            pasts.append(mask_from_data(write["past"], pasts) if "past" in write else 0)
            sets = {**write.get("sets", {}), **dict.fromkeys(write.get("deletes", ()), ABSENT)}
            nodes = write.get("nodes") or dict.fromkeys(sets, write.get("node"))  # "node": of all, in older snapshots
            scope.ledger.append(
                Write(
                    key=tuple(write["key"]),
                    past=pasts[-1],
                    updates={key: list(updates) for key, updates in write.get("updates", {}).items()},
                    sets=sets,
                    nodes={key: scope.graph.index[node] for key, node in nodes.items()},
                )
            )
        return pasts

    def _load_branch(self, scope: Scope, data: JsonObject, pasts: list[int]) -> None:
        index = scope.graph.index
        branch = Branch(id=bytes.fromhex(data["id"]), key=tuple(data["key"]), node=index[data["node"]], scope=scope)
        branch.status = Status[data["status"].upper()]
        branch.attempt = data["attempt"]
        branch.is_counted = data.get("counted", False)
        branch.steps_over = data.get("steps_over", False)
        branch.mask = mask_from_data(data["mask"], pasts) if "mask" in data else 0
        if "last_write" in data:
            branch.last_write = (data["last_write"] - 1, branch.mask)
        branch.marks = sum(1 << index[name] for name in data.get("marks", ()))
        branch.error = data.get("error")
        branch.payload = data.get("payload")
        branch.overlay = merge_ended(scope, branch.mask).overlay
        if "frozen" in data:
            frozen = data["frozen"]
            error = failure_from_data(frozen["error"])
            branch.frozen = Frozen(Cause(frozen["cause"]), error, set(frozen["unresolved"]))
        if "progress" in data:
            branch.progress = _load_progress(data["progress"])
        self._place(branch)
        if "map" in data:
            self._load_map(branch, data["map"])
        if "child" in data:
            self._load_child(branch, data["child"])

    def _place(self, branch: Branch) -> None:
        scope, node = branch.scope, branch.node
        scope.branches[branch.id] = branch
        if branch.status is Status.PARKED:
            scope.parked.setdefault(node, []).append(branch)
            scope.waiting |= 1 << node
            return
        self._state.branches[branch.id] = branch
        scope.occupy(node)
        scope.live += branch.status in LIVE
        self._state.pending += branch.status is Status.RUNNING
        self._state.waiting += branch.is_waiting

    def _load_map(self, branch: Branch, data: JsonObject) -> None:
        map_plan = branch.node_plan.map
        if map_plan is None:
            raise ValueError(f'The snapshot has an open map at "{branch.node_plan.name}", which opens none.')
        opened = branch.map = OpenMap(map_plan, tuple(data["items"]), branch.state())
        opened.max_parallel = data.get("max_parallel", map_plan.max_parallel)
        opened.tolerated = data.get("tolerated")
        opened.results = dict(data["results"])
        for index, scope_data in data["scopes"]:
            self.load_scope(open_scope(branch, opened, index), scope_data)
        opened.failed = sum(scope.is_stuck for scope in opened.scopes.values())
        opened.pending -= len(opened.results) + opened.failed

    def _load_child(self, branch: Branch, data: JsonObject) -> None:
        digest = data["digest"]
        scope = child_scope(branch, self._plan_of(digest))
        branch.child = Child(graph=data["graph"], digest=digest, timeout_at=data["timeout_at"], scope=scope)
        scope.scheduled, scope.is_exhausted = data["scheduled"], data["exhausted"]
        self.load_scope(scope, data["scope"])

    def _plan_of(self, digest: str) -> Plan:
        return learn_plan(self._state, digest, self._state.definitions.get(digest), self._find_plan)
