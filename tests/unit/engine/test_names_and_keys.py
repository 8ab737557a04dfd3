"""Step ids and canonical keys."""

from __future__ import annotations

import random

from runs.engine import ids, keys
from tests.unit.engine.driving import Run

RECORDED = [
    "2e77cf73c5dbabadd29c",
    "f9ecb19c00a5d26f88b6",
    "97560213ee290cbde609",
    "3beb5a8ba21d5b80a75f",
    "2d095e05c7114157d9ce",
    "104d92eb20dc882d239c",
    "a72942895dbe509c8331",
    "c7933de3205a708b3aa8",
]


def test_ids_are_those_of_recorded_journals() -> None:
    first = ids.first()
    assert [
        name.hex()
        for name in (
            first,
            ids.successor(first),
            ids.fork_child(first, 1),
            ids.handler(first),
            ids.joined([first, ids.successor(first)]),
            ids.item(first, 1),
            ids.closing(first),
            ids.ending(first),
        )
    ] == RECORDED


def test_ids_of_all_kinds_and_places_differ() -> None:
    step = ids.first()
    names = [ids.successor(step), ids.handler(step), ids.closing(step), ids.ending(step), ids.joined([step])]
    names += [kind(step, place) for kind in (ids.fork_child, ids.item) for place in range(300)]
    assert len({*names, step}) == len(names) + 1
    assert {len(name) for name in names} == {ids.SIZE}


def test_a_step_has_the_same_id_in_every_order_of_outcomes() -> None:
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": {"map": "= [1, 2, 3]", "to": "w", "join": "j", "collect": {"out": "= item"}}},
        "b": {"next": "j"},
        "w": {"next": "j"},
        "j": {"join": "all"},
    }
    seen = set()
    for order in range(10):
        run = Run(nodes).play({}, order)
        seen.add(frozenset(event.step for event in run.events if type(event).__name__ == "StepCompleted"))
    assert len(seen) == 1


def test_the_branches_of_a_fork_sort_as_in_its_list_and_after_it() -> None:
    for tail in range(4):
        children = keys.fork_children((0, 7), [0, 1, 2, 3], tail)
        assert sorted(children) == children
        assert min(children) > (0, 7)


def test_all_that_follows_a_branch_sorts_before_the_next_branch() -> None:
    """Descend at random below each child of a fork: the descendants never mix."""
    rng = random.Random(7)
    for _ in range(200):
        tail = rng.randrange(3)
        children = keys.fork_children((0, 3), [0, 1, 2], tail)
        grown = []
        for child in children:
            key, below = child, [child]
            for _ in range(rng.randrange(6)):
                key = (
                    keys.successor(key)
                    if rng.random() < 0.4
                    else keys.fork_children(key, [0, 1, 2], rng.randrange(3))[rng.randrange(3)]
                )
                below.append(key)
            assert sorted(below) == below
            grown.append(below)
        assert max(grown[0]) < min(grown[1])
        assert max(grown[1]) < min(grown[2])


def test_a_join_in_a_loop_keeps_its_key_short_though_branches_end() -> None:
    """
    s ──┬─ a ─► end
     ▲  └─ b ─┐
     └────────┘      beside a branch z that waits at e
    """
    run = Run(
        {
            "r": {"next": ["s", "z"]},
            "z": {"next": "e"},
            "e": {"join": "all"},
            "s": {"next": ["b", "a"]},
            "a": {},
            "b": {"next": {"condition": "n < 200", "if_true": "s", "if_false": "e"}},
        },
        start="r",
        reducers={"n": "add"},
        state={"n": 0},
    )
    longest = 0
    run.give("r")
    run.give("z")
    while run.running:
        node = run.nodes[-1]
        run.give(node, {"n": 1} if node == "b" else None)
        longest = max([longest, *(len(branch.key) for branch in run.state.root.branches.values())])
    assert run.final == {"n": 200}
    assert longest <= 5
