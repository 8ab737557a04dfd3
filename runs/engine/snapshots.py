"""A run's whole state as a JSON object, and back.

Kept only to make reading fast: folding the journal gives the same state. What can be computed from the rest (views,
positions, counters) is left out and computed anew.
"""

from __future__ import annotations

from graphs.plan import Plan
from runs.engine.codec import failure_from_data, failure_to_data
from runs.engine.events import JsonObject
from runs.engine.ledger import ABSENT, Ledger, Write
from runs.engine.maps import open_scope
from runs.engine.masks import MaskCodec, bits, mask_from_data
from runs.engine.merging import merge_ended
from runs.engine.state import LIVE, Branch, Cause, Frozen, OpenMap, RunState, Scope, Status

FORMAT = 1


def dump_state(state: RunState) -> JsonObject:
    """The state as a JSON object that shares values with it. Costs as much as the state is large."""
    return {
        "format": FORMAT,
        "status": state.status,
        "scheduled": state.scheduled,
        "stopping": state.is_stopping,
        "exhausted": state.is_exhausted,
        "root": _dump_scope(state.root),
    }


def load_state(plan: Plan, data: JsonObject) -> RunState:
    """The state that `data`, of the same plan, was made from. Raises ValueError for an unknown format."""
    if data.get("format") != FORMAT:
        raise ValueError(f"A snapshot of format {data.get('format')} cannot be read by this release.")
    state = RunState(Scope(plan.root, {}))
    state.status = data["status"]
    state.scheduled = data["scheduled"]
    state.is_stopping = data["stopping"]
    state.is_exhausted = data["exhausted"]
    _Loader(plan, state).load_scope(state.root, data["root"])
    if state.status == "completed":
        state.final = state.root.state({})
    return state


# --------------------------------------------------------------------------- writing


def _dump_scope(scope: Scope) -> JsonObject:
    names = scope.plan.names
    writes = scope.ledger.writes if scope.ledger else []
    masks = MaskCodec([write.past for write in writes])
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
        "stuck": scope.is_stuck,
        "exported": scope.exported,
    }
    return data | {key: value for key, value in optional.items() if value}


def _dump_write(number: int, write: Write, masks: MaskCodec, names: tuple[str, ...]) -> JsonObject:
    data: JsonObject = {"key": list(write.key), "node": names[write.node]}
    if write.updates:
        data["updates"] = {key: list(updates) for key, updates in write.updates.items()}
    if write.sets:
        data["sets"], data["deletes"] = _present(write.sets), _deleted(write.sets)
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
        "mask": masks.to_data(branch.mask) if branch.mask else None,
        "marks": [names[node] for node in bits(branch.marks)],
        "error": branch.error,
        "frozen": _dump_frozen(branch.frozen) if branch.frozen else None,
        "map": _dump_map(branch.map) if branch.map else None,
    }
    return data | {key: value for key, value in optional.items() if value}


def _dump_frozen(frozen: Frozen) -> JsonObject:
    error = failure_to_data(frozen.error)
    return {"cause": frozen.cause.value, "error": error, "unresolved": sorted(frozen.unresolved)}


def _dump_map(opened: OpenMap) -> JsonObject:
    return {
        "items": list(opened.items),
        "results": [[index, values] for index, values in opened.results.items()],
        "scopes": [[index, _dump_scope(scope)] for index, scope in opened.scopes.items()],
    }


def _present(values: JsonObject) -> JsonObject:
    return {key: value for key, value in values.items() if value is not ABSENT}


def _deleted(values: JsonObject) -> list[str]:
    return sorted(key for key, value in values.items() if value is ABSENT)


# --------------------------------------------------------------------------- reading


class _Loader:
    """Builds the scopes of a state, and counts what is in flight."""

    def __init__(self, plan: Plan, state: RunState) -> None:
        self._plan = plan
        self._state = state

    def load_scope(self, scope: Scope, data: JsonObject) -> None:
        index = self._plan.index
        scope.base = {**data["base"], **dict.fromkeys(data.get("deleted", ()), ABSENT)}
        scope.turns = {index[name]: turns for name, turns in data["turns"].items()}
        pasts = self._load_ledger(scope, data)
        scope.ended = mask_from_data(data["ended"], pasts) if "ended" in data else 0
        scope.is_stuck = data.get("stuck", False)
        scope.is_collecting = data.get("collecting", False)
        self._state.pending += scope.is_collecting
        if "exported" in data:
            scope.exported = {key: list(updates) for key, updates in data["exported"].items()}
        for branch_data in data["branches"]:
            self._load_branch(scope, branch_data, pasts)

    def _load_ledger(self, scope: Scope, data: JsonObject) -> list[int]:
        pasts: list[int] = []
        if "writes" not in data:
            return pasts
        scope.ledger = Ledger()
        scope.ledger.foreseen.update(data.get("foreseen", ()))
        for write in data["writes"]:
            pasts.append(mask_from_data(write["past"], pasts) if "past" in write else 0)
            scope.ledger.append(
                Write(
                    key=tuple(write["key"]),
                    node=self._plan.index[write["node"]],
                    past=pasts[-1],
                    updates={key: tuple(updates) for key, updates in write.get("updates", {}).items()},
                    sets={**write.get("sets", {}), **dict.fromkeys(write.get("deletes", ()), ABSENT)},
                )
            )
        return pasts

    def _load_branch(self, scope: Scope, data: JsonObject, pasts: list[int]) -> None:
        index = self._plan.index
        branch = Branch(id=bytes.fromhex(data["id"]), key=tuple(data["key"]), node=index[data["node"]], scope=scope)
        branch.status = Status[data["status"].upper()]
        branch.attempt = data["attempt"]
        branch.mask = mask_from_data(data["mask"], pasts) if "mask" in data else 0
        branch.marks = sum(1 << index[name] for name in data.get("marks", ()))
        branch.error = data.get("error")
        branch.overlay = merge_ended(self._plan, scope, branch.mask).overlay
        if "frozen" in data:
            frozen = data["frozen"]
            error = failure_from_data(frozen["error"])
            branch.frozen = Frozen(Cause(frozen["cause"]), error, set(frozen["unresolved"]))
        self._place(branch)
        if "map" in data:
            self._load_map(branch, data["map"])

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

    def _load_map(self, branch: Branch, data: JsonObject) -> None:
        map_plan = self._plan.nodes[branch.node].map
        if map_plan is None:
            raise ValueError(f'The snapshot has an open map at "{self._plan.names[branch.node]}", which opens none.')
        opened = branch.map = OpenMap(map_plan, tuple(data["items"]), branch.state())
        opened.results = dict(data["results"])
        for index, scope_data in data["scopes"]:
            self.load_scope(open_scope(self._plan, branch, opened, index), scope_data)
        opened.failed = sum(scope.is_stuck for scope in opened.scopes.values())
        opened.pending -= len(opened.results) + opened.failed
