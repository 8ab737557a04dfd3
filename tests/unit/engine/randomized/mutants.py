"""The engine with one rule broken: proof that the campaign would notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from graphs.plan import compiler, masks
from runs.engine import (
    attempts,
    closing,
    editing,
    ending,
    joins,
    keys,
    ledger,
    machine,
    maps,
    merging,
    migrating,
    positions,
    routing,
    snapshots,
    views,
)
from runs.engine.branches import Status

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

    return patch.object(machine, "awaited", awaited)


def _waiting_in_vain() -> AbstractContextManager[Any]:
    return patch.object(positions, "stop_waiting", lambda *_: None)


def _doing_parts_again() -> AbstractContextManager[Any]:
    go_on = attempts._go_on_as

    def forgetful(turn: Any, branch: Any, attempt: int) -> None:
        go_on(turn, branch, attempt)
        if branch.progress is not None:
            branch.progress.parts = {}

    return patch.object(attempts, "_go_on_as", forgetful)


def _snapshots_without_failures() -> AbstractContextManager[Any]:
    dump = snapshots._dump_progress
    return patch.object(
        snapshots, "_dump_progress", lambda progress: {k: v for k, v in dump(progress).items() if k != "failures"}
    )


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


def _failing_although_paused() -> AbstractContextManager[Any]:
    return patch.object(ending, "is_waiting_for_release", lambda state: False)


def _next_attempts_although_paused() -> AbstractContextManager[Any]:
    return patch.object(attempts, "begin", positions.give_out)


def _undoing_in_order() -> AbstractContextManager[Any]:
    def remember(state: Any, *rest: Any) -> None:
        compensating_remember(state, *rest)
        state.compensations.insert(0, state.compensations.pop())

    compensating_remember = machine.remember
    return patch.object(machine, "remember", remember)


def _migrating_with_the_old_numbers() -> AbstractContextManager[Any]:
    def become(state: Any, other: Any) -> None:
        state.digest = other.digest
        for scope in state.root.with_inner():
            if scope.home is state.root:
                scope.graph = other.root.graph

    return patch.object(migrating, "_become", become)


def _migrating_without_writes() -> AbstractContextManager[Any]:
    rename = migrating._rename

    def careless(scope: Any, *rest: Any) -> None:
        rename(scope, *rest)
        scope.pop("ended", None)

    return patch.object(migrating, "_rename", careless)


def _migrating_although_paused() -> AbstractContextManager[Any]:
    def begin_all(turn: Any, branches: Any) -> None:
        for branch in list(branches):
            positions.give_out(turn, branch)

    return patch.object(migrating, "begin_all", begin_all)


def _snapshots_without_the_version() -> AbstractContextManager[Any]:
    dump = snapshots._dump_control
    return patch.object(
        snapshots, "_dump_control", lambda state: {k: v for k, v in dump(state).items() if k != "digest"}
    )


def _joins_that_go_on_in_the_write_of_a_branch() -> AbstractContextManager[Any]:
    go_on = joins._go_on

    def careless(turn: Any, scope: Any, node: int, arrived: list[Any], *rest: Any) -> None:
        first = min(arrived, key=lambda branch: branch.key)
        number, _ = first.last_write
        go_on(turn, scope, node, arrived, *rest)
        first.last_write = (number, first.mask)

    return patch.object(joins, "_go_on", careless)


def _sending_to_the_wrong_branches() -> AbstractContextManager[Any]:
    fork = routing._fork
    return patch.object(routing, "_fork", lambda turn, branch, places, sent: fork(turn, branch, places, sent[::-1]))


def _payloads_that_pass_joins() -> AbstractContextManager[Any]:
    go_on = joins._go_on

    def careless(turn: Any, scope: Any, node: int, arrived: list[Any], *rest: Any) -> None:
        first = min(arrived, key=lambda branch: branch.key)
        payload = first.payload
        go_on(turn, scope, node, arrived, *rest)
        first.payload = payload

    return patch.object(joins, "_go_on", careless)


def _snapshots_without_payloads() -> AbstractContextManager[Any]:
    dump = snapshots._dump_branch
    return patch.object(
        snapshots, "_dump_branch", lambda *given: {k: v for k, v in dump(*given).items() if k != "payload"}
    )


def _payloads_that_are_written() -> AbstractContextManager[Any]:
    write = machine.write_update

    def write_all(turn: Any, branch: Any, event: Any) -> None:
        write(turn, branch, replace(event, update={**(branch.payload or {}), **event.update}))

    return patch.object(machine, "write_update", write_all)


def _writes_that_take_in_every_key() -> AbstractContextManager[Any]:
    return patch.object(ledger.Write, "may_go_on", lambda *_: True)


MUTANTS: dict[str, tuple[str, Mutant]] = {
    "joins of a cycle wait for each other without rank": ("plain", _without_rank),
    "joins fold in the order of arrival": ("plain", _joins_in_order_of_arrival),
    "concurrent replaces are not noticed": ("plain", _without_conflicts),
    "late writes are appended, never folded in": ("dag", _never_folding_anew),
    "a join fires at two arrivals": ("plain", _firing_at_two_arrivals),
    "the updates of ended branches are dropped": ("plain", _dropping_ended_branches),
    "the first failure ends the run": ("plain", _failing_fast),
    "outcomes of old attempts are taken": ("plain", _taking_old_attempts),
    "a step that is tried again still waits": ("plain", _waiting_in_vain),
    "the next attempt does all parts again": ("plain", _doing_parts_again),
    "a snapshot forgets failed attempts": ("plain", _snapshots_without_failures),
    "siblings after the tail sort before it": ("plain", _sorting_later_siblings_first),
    "writes settle although an ended branch has others": ("plain", _settling_beside_ended_branches),
    "joins do not wait for frozen branches": ("retry", _not_waiting_for_frozen_branches),
    "an edit leaves earlier writes in place": ("edit", _remembering_what_was_edited),
    "renumbering changes the order": ("dag", _renumbering_by_chance),
    "a snapshot forgets ended branches": ("plain", _snapshots_without_ended_branches),
    "a counting join leaves the rest alone": ("any", _leaving_the_rest_alone),
    "a map tolerates every failure": ("map", _tolerating_everything),
    "items see what happens around their map": ("map", _items_that_see_the_newest_state),
    "a run fails although a pause holds steps": ("pause", _failing_although_paused),
    "a pause holds no next attempt": ("pause", _next_attempts_although_paused),
    "steps are undone in the order in which they completed": ("undo", _undoing_in_order),
    "a migration keeps the old numbers of nodes": ("migrate", _migrating_with_the_old_numbers),
    "a migration forgets ended branches": ("migrate", _migrating_without_writes),
    "a migration begins what a pause holds": ("migrate", _migrating_although_paused),
    "a join goes on in the write of one of its branches": ("dag", _joins_that_go_on_in_the_write_of_a_branch),
    "a write takes in keys that it replaces": ("plain", _writes_that_take_in_every_key),
    "what is sent arrives at the wrong branches": ("plain", _sending_to_the_wrong_branches),
    "what is sent to a join is seen behind it": ("plain", _payloads_that_pass_joins),
    "what is sent is written to the state": ("plain", _payloads_that_are_written),
    "a snapshot forgets what was sent": ("plain", _snapshots_without_payloads),
    "a snapshot forgets the version": ("migrate", _snapshots_without_the_version),
}
"""By what is wrong: the kind of campaign that must notice, and the patch."""
