"""The rules once more, as naive as possible: what the engine is compared with, step by step.

Nothing is shared with the engine but the event classes. Where the engine has bit masks, cached overlays, short keys,
collapsing and renumbering, this has sets of writes, folds from scratch, ever longer paths and graph searches.

The order of steps is that of paths: a step is followed by the same path with its last number raised; a fork's child
i gets the path of the forking step with (i, 0) behind it; a join goes on behind the greatest path that arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from runs.engine.events import (
    AttemptFailed,
    ItemCollected,
    ItemFailed,
    RunReopened,
    RunStarted,
    StateEdited,
    StepCompleted,
    StepFailed,
    StepRescheduled,
)

Json = Any
GONE = object()
END = "end"

FOLDS = {
    "append": lambda value, update: [*(value or []), update],
    "extend": lambda value, update: [*(value or []), *update],
    "add": lambda value, update: (value or 0) + update,
    "merge": lambda value, update: {**(value or {}), **update},
    "max": lambda value, update: update if value is None else max(value, update),
    "weird@1": lambda value, update: ((value or 7) * 31 + update * 17 + (value or 7) * update) % 1_000_003,
}


def name_of(tag: bytes, *parts: bytes) -> bytes:
    return blake2b(tag + b"".join(parts), digest_size=10).digest()


class Write:
    def __init__(self, path, node, updates, sets, past):
        self.path, self.node, self.updates, self.sets = path, node, updates, sets
        self.past = past | {self}


class Token:
    def __init__(self, id, path, node, past, scope, marks=frozenset()):
        self.id, self.path, self.node, self.past, self.scope, self.marks = id, path, node, past, scope, marks
        self.status = "run"  # run parked map frozen
        self.attempt = 1
        self.error = None  # what a handler sees
        self.payload = {}  # what was sent along
        self.why = None  # (cause, type, keys) of a frozen one
        self.unresolved = set()
        self.items = self.results = self.scopes = None


class Scope:
    def __init__(self, owner, index, base, names, exit_, start, first):
        self.owner, self.index, self.base, self.names = owner, index, base, names
        self.exit, self.start, self.first = exit_, start, first
        self.tokens: list[Token] = []
        self.ended: set[Write] = set()
        self.writes: list[Write] = []
        self.collecting = self.stuck = False


class Reference:
    def __init__(self, definition: dict[str, Json]) -> None:
        self.nodes = definition["nodes"]
        self.start_node = definition["start_node"]
        self.reducers = {k: r for k, r in definition["state"]["reducers"].items() if r != "replace"}
        self.status, self.final = "new", None
        self.arrived_now: list[tuple[Scope, str]] = []

    # ------------------------------------------------------------------ what can be asked

    def running(self) -> dict[bytes, Token]:
        return (
            {t.id: t for s in self.scopes() for t in s.tokens if t.status == "run"} if self.status == "running" else {}
        )

    def collecting(self) -> set[tuple[bytes, int]]:
        return {(s.owner.id, s.index) for s in self.scopes() if s.collecting}

    def view(self, token: Token) -> dict[str, Json]:
        seen = {**self.state(token.scope, token.past)[0], **token.payload, **token.scope.names}
        return seen if token.error is None else {**seen, "error": token.error}

    def errors(self) -> list[tuple[bytes, str, str, tuple[str, ...]]]:
        frozen = [t for s in self.scopes() for t in s.tokens if t.status == "frozen"]
        return sorted((t.id, t.node, t.why[1], tuple(sorted(t.why[2]))) for t in frozen)

    def scopes(self, root: Scope | None = None) -> Iterator[Scope]:
        scope = root or self.root
        yield scope
        for token in scope.tokens:
            for inner in (token.scopes or {}).values():
                yield from self.scopes(inner)

    # ------------------------------------------------------------------ the state of a set of writes

    def state(self, scope: Scope, past: set[Write]) -> tuple[dict[str, Json], set[str]]:
        """The values, and the keys in conflict."""
        values, conflicts = dict(scope.base), set()
        for key in {key for write in past for key in (*write.updates, *write.sets)}:
            value, conflict = self.value(scope, past, key)
            values[key] = value
            conflicts |= {key} if conflict else set()
        return {key: value for key, value in values.items() if value is not GONE}, conflicts

    def value(self, scope: Scope, past: set[Write], key: str) -> tuple[Json, bool]:
        value, conflict, hidden = scope.base.get(key, GONE), False, set()
        sets = [write for write in past if key in write.sets]
        if sets:
            winner = max(sets, key=lambda write: write.path)
            conflict = not set(sets) <= winner.past
            value, hidden = winner.sets[key], winner.past
        updates = [write for write in past if key in write.updates and write not in hidden]
        for write in sorted(updates, key=lambda write: write.path):
            for update in write.updates[key]:
                value = FOLDS[self.reducers[key]](None if value is GONE else value, update)
        return value, conflict

    # ------------------------------------------------------------------ events

    def apply(self, event) -> None:
        match event:
            case RunStarted(state=state):
                self.status = "running"
                self.root = Scope(None, 0, dict(state), {}, None, [self.start_node], name_of(b"s"))
                self.begin(self.root)
            case StepCompleted(step=step, attempt=attempt):
                token = self.running().get(step)
                if token and token.attempt == attempt:
                    self.complete(token, event)
            case StepFailed(step=step, attempt=attempt):
                token = self.running().get(step)
                if token and token.attempt == attempt:
                    self.fail(token, event)
            case AttemptFailed(step=step, attempt=attempt):
                token = self.running().get(step)
                if token and token.attempt == attempt:
                    token.attempt += 1
            case StepRescheduled(step=step, attempt=attempt):
                token = self.running().get(step)
                if token:
                    token.attempt = max(token.attempt, attempt)
            case ItemCollected(step=step, index=index):
                for scope in [s for s in self.scopes() if s.collecting and (s.owner.id, s.index) == (step, index)]:
                    scope.collecting = False
                    scope.owner.results[index] = event.values
                    del scope.owner.scopes[index]
            case ItemFailed(step=step, index=index):
                for scope in [s for s in self.scopes() if s.collecting and (s.owner.id, s.index) == (step, index)]:
                    scope.collecting = False
                    self.freeze_at_end(scope, (event.error.type, ()))
            case StateEdited():
                self.edit(event)
            case RunReopened(steps=steps):
                self.reopen(set(steps))
        self.settle()

    def begin(self, scope: Scope) -> None:
        token = Token(scope.first, (0,), None, frozenset(), scope)
        self.spread(token, scope.start)

    def complete(self, token: Token, event: StepCompleted) -> None:
        updates = {k: [v] for k, v in event.update.items() if k in self.reducers}
        sets = {k: v for k, v in event.update.items() if k not in self.reducers}
        self.write(token, updates, {**sets, **event.replace, **dict.fromkeys(event.delete, GONE)})
        if event.items is None:
            token.scope.tokens.remove(token)
            self.move(token, event.route, event.payloads)
            return
        token.status, token.items, token.results, token.scopes = "map", event.items, {}, {}
        route = self.nodes[token.node]["next"]
        base = self.state(token.scope, token.past)[0]
        for index, item in enumerate(event.items):
            names = {**token.scope.names, route.get("as", "item"): item, "index": index}
            first = name_of(b"i", token.id, index.to_bytes(4, "big"))
            to = route["to"] if isinstance(route["to"], list) else [route["to"]]
            scope = token.scopes[index] = Scope(token, index, dict(base), names, route["join"], to, first)
            self.begin(scope)

    def write(self, token: Token, updates, sets) -> None:
        updates = {key: update for key, update in updates.items() if key not in sets}
        if updates or sets:
            write = Write(token.path, token.node, updates, sets, token.past)
            token.past = token.past | {write}
            token.scope.writes.append(write)
            self.keep(token.scope)

    def move(self, token: Token, targets, payloads=()) -> None:
        """On from the step that the token was at."""
        token.error, token.payload = None, {}
        live = self.live(token.scope, targets)
        if len(live) == 1:
            token.id = name_of(b"n", token.id)
            token.path = (*token.path[:-1], token.path[-1] + 1)
        self.spread(token, targets, payloads)

    def live(self, scope: Scope, targets):
        return [(i, node) for i, node in enumerate(targets) if node not in (END, scope.exit)]

    def spread(self, token: Token, targets, payloads=()) -> None:
        sent = {i: payload or {} for i, payload in enumerate(payloads)}
        live = self.live(token.scope, targets)
        if not live:
            token.scope.ended |= token.past
        elif len(live) == 1:
            token.payload = sent.get(live[0][0], {})
            self.arrive(token, live[0][1])
        else:
            for i, node in live:
                child_id = name_of(b"f", token.id, i.to_bytes(4, "big"))
                child = Token(child_id, (*token.path, i, 0), None, token.past, token.scope, token.marks)
                child.error, child.payload = token.error, sent.get(i, {})
                self.arrive(child, node)

    def arrive(self, token: Token, node: str) -> None:
        token.node, token.attempt, token.why = node, 1, None
        join = self.nodes[node].get("join")
        if join is None:
            token.status = "run"
        elif node in token.marks and join != "all":
            return
        else:
            token.status = "parked"
        token.scope.tokens.append(token)

    def fail(self, token: Token, event: StepFailed) -> None:
        if event.route is None:
            token.status, token.why = "frozen", ("step", event.error.type, set())
            return
        token.scope.tokens.remove(token)
        self.handle(token, event.route, event.error.type, event.error.message)

    def handle(self, token: Token, route, type_: str, message: str) -> None:
        token.error = {"type": type_, "message": message, "node": token.node, "attempt": token.attempt}
        token.payload = {}
        token.id, token.path = name_of(b"e", token.id), (*token.path[:-1], token.path[-1] + 1)
        self.spread(token, route)

    # ------------------------------------------------------------------ conclusions

    def settle(self) -> None:
        while self.status == "running" and any(self.settle_scope(scope) for scope in list(self.scopes())):
            pass
        for scope in self.scopes():
            self.keep(scope)
        if self.status == "running" and not self.running() and not self.collecting():
            self.status = "failed"

    def keep(self, scope: Scope) -> None:
        """What the only branch has seen is never lost, even if all that comes of it is absorbed: no rule undoes it."""
        if len(scope.tokens) == 1:
            (token,) = scope.tokens
            if not any(self.reaches(scope, token.node, node) for node in token.marks):
                scope.ended |= token.past if scope.ended <= token.past else set()

    def settle_scope(self, scope: Scope) -> bool:
        """Draw one conclusion; whether there was one."""
        if scope.collecting:
            return False
        if not scope.tokens:
            self.close(scope)
            return True
        joins = {t.node for t in scope.tokens if t.status == "parked"}
        for node in sorted(joins, key=lambda node: (not self.is_satisfied(scope, node), node)):
            if self.may_fire(scope, node):
                self.fire(scope, node)
                return True
        for token in scope.tokens:
            if token.status == "map" and all(self.is_over(token, index) for index in range(len(token.items))):
                return self.conclude(token)
        return False

    def is_satisfied(self, scope: Scope, node: str) -> bool:
        parked = [t for t in scope.tokens if t.status == "parked" and t.node == node]
        join = self.nodes[node]["join"]
        return join != "all" and len(parked) >= join["count"]

    def may_fire(self, scope: Scope, node: str) -> bool:
        parked = [t for t in scope.tokens if t.status == "parked" and t.node == node]
        return self.is_satisfied(scope, node) or not any(
            self.reaches(scope, t.node, node)
            for t in scope.tokens
            if t not in parked and not (t.status == "parked" and self.is_later(scope, t.node, node))
        )

    def moves(self, scope: Scope, node: str) -> list[str]:
        if node == END:
            return []
        spec = self.nodes[node]
        route = spec["next"]
        targets = route.get("dynamic") or [route["join"]] if isinstance(route, dict) else route
        on_error = spec.get("on_error", [])
        handlers = on_error if isinstance(on_error, list) else [on_error]
        return [t for t in (*targets, *handlers) if t not in (END, scope.exit)]

    def reaches(self, scope: Scope, source: str, target: str) -> bool:
        seen, todo = set(), self.moves(scope, source)
        while todo:
            node = todo.pop()
            if node == target:
                return True
            if node not in seen:
                seen.add(node)
                todo += self.moves(scope, node)
        return False

    def is_later(self, scope: Scope, other: str, node: str) -> bool:
        """Whether the join `other` lies on a cycle with `node` and ranks after it."""
        if not (self.reaches(scope, other, node) and self.reaches(scope, node, other)):
            return False
        postorder: list[str] = []
        seen: set[str] = set()

        def visit(at: str) -> None:
            seen.add(at)
            for following in self.moves(scope, at):
                if following not in seen:
                    visit(following)
            postorder.append(at)

        for first in scope.start:
            if first not in seen and first not in (END, scope.exit):
                visit(first)
        rank = {at: (self.nodes[at].get("join") != "all", -place) for place, at in enumerate(postorder)}
        return rank[other] > rank[node]

    def fire(self, scope: Scope, node: str) -> None:
        parked = [t for t in scope.tokens if t.status == "parked" and t.node == node]
        join, short = self.nodes[node]["join"], False
        scope.tokens = [t for t in scope.tokens if t not in parked]
        if join != "all":
            short = len(parked) < join["count"]
            parked = parked[: join["count"]]
            if not short:
                self.dismiss(scope, node, join["rest"])
        parked.sort(key=lambda t: t.path)
        past = frozenset().union(*(t.past for t in parked))
        last = parked[-1].path
        token = Token(name_of(b"j", *(t.id for t in parked)), (*last[:-1], last[-1] + 1), node, past, scope)
        token.marks = frozenset.intersection(*(t.marks for t in parked))
        scope.tokens.append(token)
        conflicts = self.state(scope, past)[1]
        if conflicts:
            token.status, token.why = "frozen", ("join", "ConcurrentUpdateError", conflicts)
            token.unresolved = set(conflicts)
        elif short:
            token.status, token.why = "frozen", ("join", "JoinUnsatisfied", set())

    def dismiss(self, scope: Scope, node: str, rest: str) -> None:
        for token in list(scope.tokens):
            if self.reaches(scope, token.node, node):
                if rest == "cancel" and token.status != "frozen":
                    scope.tokens.remove(token)
                else:
                    token.marks |= {node}

    def close(self, scope: Scope) -> None:
        values, conflicts = self.state(scope, scope.ended)
        if conflicts:
            self.freeze_at_end(scope, ("ConcurrentUpdateError", conflicts))
        elif scope.owner is None:
            self.status, self.final = "completed", values
        elif self.nodes[scope.owner.node]["next"].get("collect"):
            scope.collecting = True
        else:
            exported: dict[str, list[Json]] = {}
            for write in sorted(scope.ended, key=lambda write: write.path):
                for key, updates in write.updates.items():
                    exported.setdefault(key, []).extend(updates)
            scope.owner.results[scope.index] = exported
            del scope.owner.scopes[scope.index]

    def freeze_at_end(self, scope: Scope, why) -> None:
        token = Token(name_of(b"z", scope.first), (0,), END, frozenset(scope.ended), scope)
        token.status, token.why = "frozen", ("end", why[0], set(why[1]))
        token.unresolved = set(why[1])
        scope.tokens.append(token)

    # ------------------------------------------------------------------ maps

    def is_over(self, token: Token, index: int) -> bool:
        return index in token.results or (index in token.scopes and self.is_stuck(token.scopes[index]))

    def is_stuck(self, scope: Scope) -> bool:
        if scope.collecting or not scope.tokens:
            return False
        if any(t.status == "parked" and self.may_fire(scope, t.node) for t in scope.tokens):
            return False
        return not any(t.status in ("run", "map") for t in scope.tokens)

    def conclude(self, token: Token) -> bool:
        route = self.nodes[token.node]["next"]
        failed = len(token.items) - len(token.results)
        scope = token.scope
        tolerated = route.get("tolerated_failures", 0)
        if tolerated == "50%":
            tolerated = len(token.items) // 2
        if failed > tolerated:
            on_error = self.nodes[token.node].get("on_error")
            if on_error is None:
                token.status, token.why = "frozen", ("items", "MapFailed", set())
                return True
            index = min(set(range(len(token.items))) - set(token.results))
            cause = min((t for t in token.scopes[index].tokens if t.status == "frozen"), key=lambda t: t.path)
            message = (
                f"{failed} of {len(token.items)} items failed; {tolerated} are tolerated. "
                f'Item {index} failed at "{cause.node}": {cause.why[1]}: '
            )
            scope.tokens.remove(token)
            token.scopes = None
            self.handle(token, on_error if isinstance(on_error, list) else [on_error], "MapFailed", message)
            return True
        token.path = (*token.path[:-1], token.path[-1] + 1)
        ordered = [token.results.get(index) for index in range(len(token.items))]
        if route.get("collect"):
            lists = {key: [None if r is None else r[key] for r in ordered] for key in route["collect"]}
            updates = {key: [value] for key, value in lists.items() if key in self.reducers}
            self.write(token, updates, {key: value for key, value in lists.items() if key not in updates})
        else:
            exported: dict[str, list[Json]] = {}
            for result in ordered:
                for key, update in (result or {}).items():
                    exported.setdefault(key, []).extend(update)
            self.write(token, exported, {})
        scope.tokens.remove(token)
        token.id, token.scopes = name_of(b"c", token.id), None
        self.move(token, [route["join"]])
        return True

    # ------------------------------------------------------------------ from outside

    def edit(self, event: StateEdited) -> None:
        values = {**event.values, **dict.fromkeys(event.delete, GONE)}
        for scope in self.scopes():
            scope.base.update(values)
            for write in scope.writes:
                write.updates = {k: v for k, v in write.updates.items() if k not in values}
                write.sets = {k: v for k, v in write.sets.items() if k not in values}
            for token in scope.tokens:
                token.unresolved -= set(values)
                if token.scopes is not None and not self.nodes[token.node]["next"].get("collect"):
                    for result in token.results.values():
                        for key in values:
                            result.pop(key, None)

    def reopen(self, steps: set[bytes]) -> None:
        maps = [t for s in self.scopes() for t in s.tokens if t.id in steps and t.status == "frozen" and t.scopes]
        steps |= {t.id for m in maps for item in m.scopes.values() for s in self.scopes(item) for t in s.tokens}
        chosen = [
            t
            for s in self.scopes()
            for t in s.tokens
            if t.status == "frozen" and t.why[0] != "items" and (not steps or t.id in steps) and not t.unresolved
        ]
        for token in chosen:
            self.status = "running"
            owner = token.scope.owner
            while owner is not None:
                if owner.status == "frozen" and owner.why[0] == "items":
                    owner.status, owner.why = "map", None
                owner = owner.scope.owner
            if token.why[0] == "end":
                token.scope.tokens.remove(token)
            else:
                token.attempt += token.why[0] == "step"
                token.status, token.why = "run", None
