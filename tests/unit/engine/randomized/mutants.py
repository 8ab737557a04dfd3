"""The engine with one rule broken: proof that the campaign would notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from graphs.plan import compiler, masks
from runs.engine import closing, editing, joins, keys, machine, maps, merging, positions, routing, snapshots, views
from runs.engine.state import Status

Mutant = Callable[[], AbstractContextManager[Any]]


def _without_rank() -> AbstractContextManager[Any]:
    return patch.object(masks, "_later", lambda nodes, component, rank: dict.fromkeys(nodes, 0))


def _joins_in_order_of_arrival() -> AbstractContextManager[Any]:
    class Unsorted(list[Any]):
        def sort(self, **_: Any) -> None:
            pass

    take = joins._take_parked
    return patch.object(joins, "_take_parked", lambda scope, node: Unsorted(take(scope, node)))


def _without_conflicts() -> AbstractContextManager[Any]:
    return patch.object(merging, "_note_conflict", lambda *_: None)


def _never_folding_anew() -> AbstractContextManager[Any]:
    find = compiler.find_reducer
    return patch.object(compiler, "find_reducer", lambda name: replace(find(name), is_commutative=lambda *_: True))


def _firing_at_two_arrivals() -> AbstractContextManager[Any]:
    wait = joins._has_to_wait
    return patch.object(joins, "_has_to_wait", lambda scope, join: len(scope.parked[join]) < 2 and wait(scope, join))


def _dropping_ended_branches() -> AbstractContextManager[Any]:
    spread = routing._spread
    return patch.object(routing, "_spread", lambda turn, branch, places: places and spread(turn, branch, places))


@contextmanager
def _failing_fast() -> Iterator[None]:
    freeze = positions.freeze

    def freeze_all(turn: Any, *rest: Any) -> None:
        freeze(turn, *rest)
        turn.state.pending = 0

    with patch.object(positions, "freeze", freeze_all), patch.object(machine, "freeze", freeze_all):
        yield


def _taking_old_attempts() -> AbstractContextManager[Any]:
    def awaited(turn: Any, step: bytes, attempt: int) -> Any:
        branch = turn.state.branches.get(step)
        return branch if branch is not None and branch.status is Status.RUNNING else None

    return patch.object(machine, "_awaited", awaited)


def _sorting_later_siblings_first() -> AbstractContextManager[Any]:
    return patch.object(keys, "SPAN", 0)


def _settling_beside_ended_branches() -> AbstractContextManager[Any]:
    collapse = closing._collapse

    def careless(scope: Any) -> None:
        scope.ended = 0
        collapse(scope)

    return patch.object(closing, "_collapse", careless)


@contextmanager
def _not_waiting_for_frozen_branches() -> Iterator[None]:
    freeze = positions.freeze

    def freeze_and_hide(turn: Any, branch: Any, *rest: Any) -> None:
        freeze(turn, branch, *rest)
        branch.scope.present &= ~(1 << branch.node)

    with patch.object(positions, "freeze", freeze_and_hide), patch.object(machine, "freeze", freeze_and_hide):
        yield


def _remembering_what_was_edited() -> AbstractContextManager[Any]:
    return patch.object(editing, "_forget", lambda *_: None)


def _renumbering_by_chance() -> AbstractContextManager[Any]:
    return patch.object(keys, "ranks", lambda given: {key: rank for rank, key in enumerate(dict.fromkeys(given))})


def _snapshots_without_ended_branches() -> AbstractContextManager[Any]:
    dump = snapshots._dump_scope
    return patch.object(snapshots, "_dump_scope", lambda scope: {k: v for k, v in dump(scope).items() if k != "ended"})


def _leaving_the_rest_alone() -> AbstractContextManager[Any]:
    return patch.object(joins, "cancel", lambda *_: None)


def _tolerating_everything() -> AbstractContextManager[Any]:
    def conclude(turn: Any, branch: Any, opened: Any) -> None:
        opened.failed = 0
        maps_conclude(turn, branch, opened)

    maps_conclude = maps._conclude
    return patch.object(maps, "_conclude", conclude)


def _items_that_see_the_newest_state() -> AbstractContextManager[Any]:
    class Leaky(views.StateView):
        def __init__(self, scope: Any, overlay: Mapping[str, Any], changed: Any = None) -> None:
            super().__init__(scope, overlay, changed)
            outer = scope.owner
            if outer is not None:
                self._outer = {**scope.outer, **outer.scope.base}

    return patch.object(views, "StateView", Leaky)


MUTANTS: dict[str, tuple[str, Mutant]] = {
    "joins of a cycle wait for each other without rank": ("plain", _without_rank),
    "joins fold in the order of arrival": ("plain", _joins_in_order_of_arrival),
    "concurrent replaces are not noticed": ("plain", _without_conflicts),
    "late writes are appended, never folded in": ("dag", _never_folding_anew),
    "a join fires at two arrivals": ("plain", _firing_at_two_arrivals),
    "the updates of ended branches are dropped": ("plain", _dropping_ended_branches),
    "the first failure ends the run": ("plain", _failing_fast),
    "outcomes of old attempts are taken": ("plain", _taking_old_attempts),
    "siblings after the tail sort before it": ("plain", _sorting_later_siblings_first),
    "writes settle although an ended branch has others": ("plain", _settling_beside_ended_branches),
    "joins do not wait for frozen branches": ("retry", _not_waiting_for_frozen_branches),
    "an edit leaves earlier writes in place": ("edit", _remembering_what_was_edited),
    "renumbering changes the order": ("dag", _renumbering_by_chance),
    "a snapshot forgets ended branches": ("plain", _snapshots_without_ended_branches),
    "a counting join leaves the rest alone": ("any", _leaving_the_rest_alone),
    "a map tolerates every failure": ("map", _tolerating_everything),
    "items see what happens around their map": ("map", _items_that_see_the_newest_state),
}
"""By what is wrong: the kind of campaign that must notice, and the patch."""
