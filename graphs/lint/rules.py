"""The rules by id: how bad what they find is, and what they find. `docs/lint.md` is this table."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.errors import Level, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`level` is the worst that the rule finds. `stops` is true for what no run could survive."""

    level: Level
    finds: str
    stops: bool = False


RULES: dict[str, Rule] = {
    # what a node calls
    "unknown-tool": Rule(level="error", stops=True, finds="a tool that is not registered"),
    "unknown-graph": Rule(level="error", stops=True, finds="a graph that the organization has not published"),
    "stop-in-subgraph": Rule(
        level="warning", finds="a graph that says on_failure: stop, called by one that does not: it has no effect there"
    ),
    "unknown-argument": Rule(level="error", stops=True, finds="an input that the tool has no parameter for"),
    "missing-argument": Rule(
        level="error", stops=True, finds="a required argument that neither inputs nor the closed state schema can give"
    ),
    "cache-of-effect": Rule(
        level="error", stops=True, finds="a cache on a tool that is declared neither pure nor read"
    ),
    "atomic-elsewhere": Rule(
        level="error", stops=True, finds="an atomic tool with an executor that is no thread: its step would fail"
    ),
    "atomic-on-sqlite": Rule(level="info", finds="an atomic tool, which keeps everybody from writing to SQLite"),
    "unknown-reducer": Rule(level="error", stops=True, finds="a reducer that is not registered"),
    # what expressions see
    "undefined-name": Rule(
        level="error",
        stops=True,
        finds="a name that can never be there: not in a closed state schema, or (warning) one that only "
        "outputs, a handler or a map's item knows",
    ),
    "key-from-input": Rule(
        level="info", finds="a state key that no earlier node writes: the initial state must have it"
    ),
    "name-shadowed": Rule(level="warning", finds="a state key or map item with a name that expressions use otherwise"),
    # where branches go
    "unreachable": Rule(level="warning", finds="a node that no branch can come to"),
    "never-ends": Rule(level="warning", finds="a node from which no branch can come to an end"),
    "loop-without-exit": Rule(level="warning", finds="a cycle that no branch can leave"),
    "fork-duplicate-target": Rule(level="warning", finds="one target twice in a list"),
    "fork-multiplies": Rule(
        level="error", finds="a cycle with a fork that has two targets on it and no join: branches double every turn"
    ),
    "merge-without-join": Rule(
        level="warning", finds="a node without join that two branches of one fork reach: it runs once for each"
    ),
    # joins
    "join-mutual": Rule(level="warning", finds="joins that wait for each other; says which one runs first"),
    "join-waits-on-loop": Rule(
        level="warning", finds="a join for all that a branch in a cycle with human or wait can reach: it may wait long"
    ),
    "join-count-unreachable": Rule(level="error", finds="a count greater than the branches that can arrive"),
    "timing-dependent": Rule(level="info", finds="a join for any or a count: the result may depend on timing"),
    "cancel-wide": Rule(
        level="warning", finds="a join on a cycle that cancels the rest: every branch on the cycle can be cancelled"
    ),
    # what branches write
    "write-conflict": Rule(
        level="error", finds="two nodes that run in parallel and replace one key (error if they always do)"
    ),
    "write-conflict-turns": Rule(
        level="warning",
        finds="a branch that leaves a cycle and replaces a key: two turns of the cycle conflict at the end",
    ),
    "append-reorders": Rule(
        level="info", finds="an ordered reducer where joins cross: a later join may insert before what a step has seen"
    ),
    # what people answer
    "secret-unmarked": Rule(
        level="error", stops=True, finds="a secret of a form that the state's schema does not mark: it would be shown"
    ),
    # maps
    "map-no-join": Rule(level="error", stops=True, finds="a map without join whose branches never meet"),
    "map-recursion": Rule(level="error", finds="a map whose body can reach the map itself"),
    "map-body-shared": Rule(level="error", finds="a node of a map's body that branches outside of the map reach too"),
    "map-private-write": Rule(
        level="warning", finds="a body that writes a key without reducer that collect does not use: it is dropped"
    ),
    "lint-incomplete": Rule(level="info", finds="a graph so large that a rule gave up before it had looked everywhere"),
}


def stops_publishing(problem: Problem) -> bool:
    """Whether runs could not use the definition. Errors that only foretell a surprise are shown, and stop nothing."""
    return problem.level == "error" and (problem.code not in RULES or RULES[problem.code].stops)
