from collections.abc import Container

from runs.driver.throttle import Throttle
from runs.engine.decisions import MapItem, StartStep

LIMITS = {"fan": 2, "wide": None}


def start(name: str, *items: MapItem) -> StartStep:
    return StartStep(step=name.encode(), node="work", items=items)


def fan(index: int) -> MapItem:
    return MapItem(step=b"fan", node="fan", index=index)


def admitted(throttle: Throttle) -> list[str]:
    return [step.step.decode() for step in throttle.admit()]


def throttle(max_parallel: int = 100, over: Container[tuple[bytes, int]] = ()) -> Throttle:
    return Throttle(max_parallel=max_parallel, max_items=LIMITS.get, is_over=lambda step, index: (step, index) in over)


def test_steps_of_a_run_start_in_the_order_they_were_asked_for_up_to_the_limit():
    gate = throttle(max_parallel=2)
    for name in "abc":
        gate.add(start(name))
    assert admitted(gate) == ["a", "b"]
    gate.release(b"a")
    assert admitted(gate) == ["c"]


def test_an_item_keeps_its_place_from_its_first_step_until_it_is_over():
    over: set[tuple[bytes, int]] = set()
    gate = throttle(over=over)
    for index in range(3):
        gate.add(start(f"first{index}", fan(index)))
    assert admitted(gate) == ["first0", "first1"]
    gate.release(b"first0")
    gate.add(start("second0", fan(0)))
    assert admitted(gate) == ["second0"], "item 0 is under way, item 2 still waits"
    over.add((b"fan", 0))
    assert admitted(gate) == ["first2"]


def test_all_branches_of_an_item_that_gets_a_place_start():
    over: set[tuple[bytes, int]] = set()
    gate = throttle(over=over)
    for index in range(3):
        gate.add(start(f"left{index}", fan(index)))
        gate.add(start(f"right{index}", fan(index)))
    assert admitted(gate) == ["left0", "right0", "left1", "right1"]
    over.add((b"fan", 1))
    assert admitted(gate) == ["left2", "right2"]


def test_a_full_map_does_not_hold_up_steps_outside_it():
    gate = throttle()
    for index in range(3):
        gate.add(start(f"item{index}", fan(index)))
    gate.add(start("outside"))
    assert admitted(gate) == ["item0", "item1", "outside"]


def test_the_limit_of_an_outer_map_holds_for_the_items_of_an_inner_one():
    inner = [MapItem(step=bytes([index]), node="wide", index=0) for index in range(3)]
    gate = throttle()
    for index, item in enumerate(inner):
        gate.add(start(f"inner{index}", fan(index), item))
    assert admitted(gate) == ["inner0", "inner1"]


def test_a_cancelled_step_gives_its_place_away_wherever_it_stands():
    gate = throttle(max_parallel=1)
    gate.add(start("running"))
    gate.add(start("waiting"))
    gate.add(start("next"))
    assert admitted(gate) == ["running"]
    gate.forget(b"waiting")
    gate.forget(b"running")
    assert admitted(gate) == ["next"]


def test_a_cancelled_step_that_its_map_kept_out_never_starts():
    over: set[tuple[bytes, int]] = set()
    gate = throttle(over=over)
    for index in range(4):
        gate.add(start(f"item{index}", fan(index)))
    assert admitted(gate) == ["item0", "item1"]
    gate.forget(b"item2")
    over.add((b"fan", 0))
    assert admitted(gate) == ["item3"]
