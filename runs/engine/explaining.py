"""Why a run is where it is: what each of its branches waits for.

One obstacle for each branch that can only be moved by something: its tool, the outside, a pause, other branches that
still have to come to its join, or somebody who tries again what failed. Branches that wait for what is inside them (a
map, a subgraph) have none of their own, unless a map lets only so many items run at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runs.engine.branches import Branch, Frozen, Status
from runs.engine.events import JsonObject, StepId
from runs.engine.masks import bits
from runs.engine.moments import in_words
from runs.engine.pausing import held
from runs.engine.scopes import Scope
from runs.engine.sentences import ended
from runs.engine.state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps one branch, or all that are parked at a join.

    `because` is one of the list in `docs/control.md`.
    """

    because: str
    message: str
    step: StepId | None = None
    node: str = ""
    path: str = ""
    data: JsonObject = field(default_factory=dict)


def explain(state: RunState) -> Iterator[Obstacle]:
    """The obstacles of a run that is not over, and of one that failed, outer scopes first."""
    kept_by_pause = {branch.id for branch in held(state)} if state.is_paused else set()
    for scope in state.scopes():
        for branch in scope.branches.values():
            if branch.status is not Status.PARKED and (found := _obstacle(branch, branch.id in kept_by_pause)):
                yield found
        for join in bits(scope.waiting) if not state.is_stopping else ():
            yield _join(scope, join)


def _obstacle(branch: Branch, is_kept_by_pause: bool) -> Obstacle | None:
    if branch.frozen is not None:
        return _failed(branch, branch.frozen)
    match branch.status:
        case Status.HELD if is_kept_by_pause:
            return _at(branch, "held", "is held by the pause; resume the run, or step")
        case Status.HELD:
            return _at(branch, "stopping", "does not start any more: the run ends")
        case Status.OPEN:
            return _map(branch)
        case Status.RUNNING if branch.is_waiting:
            return _wait(branch)
        case Status.RUNNING if branch.progress is not None and branch.progress.not_before:
            at = branch.progress.not_before
            failures = sum(branch.progress.failures.values())
            times = "once" if failures == 1 else f"{failures} times"
            what = f"has failed {times} and is tried again at {in_words(at)}"
            return _at(branch, "retry", what, until=at, attempt=branch.attempt)
        case _:
            return _at(branch, "running", f"is under way, attempt {branch.attempt}", attempt=branch.attempt)


def _failed(branch: Branch, frozen: Frozen) -> Obstacle:
    error, keys = frozen.error, sorted(frozen.unresolved)
    what = f"failed: {error.in_words}"
    if keys:
        what = f"{ended(what)} Edit {', '.join(keys)}, then try it again."
    return _at(
        branch, "conflict" if keys else "failed", what, error={"type": error.type, "message": error.message}, keys=keys
    )


def _map(branch: Branch) -> Obstacle | None:
    opened = branch.map
    if opened is None or opened.max_parallel is None or opened.pending <= opened.max_parallel:
        return None
    over = len(opened.items) - opened.pending
    at_once = "1 item" if opened.max_parallel == 1 else f"{opened.max_parallel} items"
    what = f"lets {at_once} run at once; {over} of {len(opened.items)} are over"
    return _at(branch, "map", what, max_parallel=opened.max_parallel, items=len(opened.items), over=over)


def _wait(branch: Branch) -> Obstacle:
    wait = branch.progress.wait if branch.progress is not None and branch.progress.wait is not None else {}
    entries = wait.get("entries", ())
    signals = [entry["signal"] for entry in entries if "signal" in entry]
    moments = [entry["at"] for entry in entries if "at" in entry]
    until = min([*moments, *([wait["timeout_at"]] if wait.get("timeout_at") else [])], default="")
    if wait.get("kind") == "lock":
        name = wait["name"]
        return _at(branch, "lock", f'waits for the lock "{name}", which another step holds', name=name, until=until)
    if not entries:
        return _at(branch, "person", "waits for a person's answer", until=until)
    if until is not None and not signals:
        return _at(branch, "timer", f"waits until {in_words(until)}", until=until)
    names = " or ".join(f'"{name}"' for name in signals)
    what = f"waits for the signal {names}" + (f", until {in_words(until)}" if until else "")
    return _at(branch, "signal", what, signals=signals, until=until)


def _join(scope: Scope, join: int) -> Obstacle:
    """Those parked at the join wait for every node with a branch that can still come to it (rule R6)."""
    parked = scope.parked[join]
    elsewhere = scope.waiting & ~(1 << join) & ~scope.plan.later[join]
    coming = [scope.graph.names[node] for node in bits((scope.present | elsewhere) & scope.plan.coreach[join])]
    counting = scope.graph.counting.get(join)
    arrived = f"{len(parked)} of {counting.count}" if counting is not None else str(len(parked))
    branches = "branch" if arrived == "1" else "branches"
    what = f"has {arrived} {branches} and waits for those at {', '.join(coming) or 'no other node'}"
    return Obstacle(
        because="join",
        message=_sentence(scope.graph.names[join], scope.path, what),
        node=scope.graph.names[join],
        path=scope.path,
        data={"arrived": len(parked), "waits_for": coming},
    )


def _at(branch: Branch, because: str, what: str, **data: object) -> Obstacle:
    node, path = branch.scope.graph.names[branch.node], branch.scope.path
    return Obstacle(
        because=because,
        message=_sentence(node, path, what),
        step=branch.id,
        node=node,
        path=path,
        data={key: value for key, value in data.items() if value},
    )


def _sentence(node: str, path: str, what: str) -> str:
    place = f'Node "{node}"' + (f" ({path})" if path else "")
    return ended(f"{place} {what}")
