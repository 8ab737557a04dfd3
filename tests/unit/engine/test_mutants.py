"""Each rule broken on purpose: the random test must notice, or it is blind to that rule."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from graphs.plan import Plan, compile_plan
from graphs.spec import GraphSpec
from runs.engine import closing, failures, joins, machine, merging
from runs.engine.events import RunFailed
from runs.engine.state import Branch, Scope
from runs.engine.turn import Turn
from tests.unit.engine.randomized import samples
from tests.unit.engine.randomized.campaign import campaign

GRAPHS = 250
ORDERS = 8
Patch = pytest.MonkeyPatch


def no_rank(patch: Patch) -> None:
    """Two joins of one cycle wait for each other."""

    def has_to_wait(scope: Scope, join: int) -> bool:
        return bool((scope.present | scope.waiting & ~(1 << join)) & scope.plan.coreach[join])

    patch.setattr(joins, "_has_to_wait", has_to_wait)


def fires_at_two(patch: Patch) -> None:
    """A join counts branches instead of asking who can still come."""
    original = joins._has_to_wait
    patch.setattr(joins, "_has_to_wait", lambda scope, join: len(scope.parked[join]) < 2 and original(scope, join))


class Arrivals(list[Branch]):
    def sort(self, **_: object) -> None:
        """Stay in the order of arrival."""


def arrival_order(patch: Patch) -> None:
    """A join merges its branches as they came."""
    original = joins._take_parked
    patch.setattr(joins, "_take_parked", lambda scope, node: Arrivals(original(scope, node)))


def no_conflicts(patch: Patch) -> None:
    """Of two concurrent replaces one wins in silence."""
    patch.setattr(merging, "_note_conflict", lambda *_: None)


def never_folds_anew(patch: Patch) -> None:
    """What a branch has not seen is appended, wherever it belongs."""

    def mutant(spec: GraphSpec) -> Plan:
        plan = compile_plan(spec)
        reducers = {key: replace(one, is_commutative=lambda *_: True) for key, one in plan.reducers.items()}
        return replace(plan, reducers=reducers)

    patch.setattr(samples, "compile_plan", mutant)


def forgets_ended_branches(patch: Patch) -> None:
    """What a branch wrote that ended before the others is lost."""
    original = merging.merge_ended
    patch.setattr(closing, "merge_ended", lambda plan, scope, _: original(plan, scope, 0))


def fails_fast(patch: Patch) -> None:
    """The first failure ends the run, whatever else is in flight."""

    def fail(turn: Turn) -> None:
        state = turn.state
        frozen = list(failures._all_frozen(state.root))
        if state.status == "running" and frozen:
            state.status = "failed"
            errors = [(branch.id, turn.plan.names[branch.node], held.error) for branch, held in frozen]
            turn.events.append(RunFailed(errors=tuple(sorted(errors, key=lambda error: error[0]))))

    patch.setattr(machine, "fail_if_drained", fail)


@pytest.mark.parametrize(
    ("mutate", "kind"),
    [
        (no_rank, "plain"),
        (fires_at_two, "plain"),
        (arrival_order, "plain"),
        (no_conflicts, "plain"),
        (never_folds_anew, "dag"),
        (forgets_ended_branches, "plain"),
        (fails_fast, "plain"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_random_test_notices_a_broken_rule(monkeypatch: Patch, mutate: Callable[[Patch], None], kind: str) -> None:
    mutate(monkeypatch)
    assert any(campaign(kind, [seed], ORDERS).failures for seed in range(GRAPHS))
