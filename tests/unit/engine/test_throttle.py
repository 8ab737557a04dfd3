from collections.abc import Callable, Container

from runs.engine.decisions import MapItem, StartStep
from runs.engine.throttle import MIN_SWEEP, Throttle

LIMITS = {b"fan": 2, b"wide": None}


def start(name: str, *items: MapItem) -> StartStep:
    return StartStep(step=name.encode(), node="work", items=items)


def fan(index: int) -> MapItem:
    return MapItem(step=b"fan", node="fan", index=index)


def admitted(throttle: Throttle) -> list[str]:
    return [step.step.decode() for step in throttle.admit()]


def throttle(
    max_parallel: int = 100,
    over: Container[tuple[bytes, int]] = (),
    subgraphs: Callable[[bytes], dict[bytes, int]] = lambda step: {},
) -> Throttle:
    return Throttle(
        max_parallel=max_parallel,
        max_items=LIMITS.get,
        is_over=lambda step, index: (step, index) in over,
        subgraphs=subgraphs,
    )


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


def test_a_subgraph_has_as_many_steps_under_way_as_its_own_limit_says_and_holds_up_nobody_else():
    gate = throttle(subgraphs=lambda step: {b"call": 2} if step.startswith(b"in") else {})
    for name in ("in1", "in2", "in3", "in4", "outside"):
        gate.add(start(name))
    assert admitted(gate) == ["in1", "in2", "outside"]
    assert gate.waiting() == [b"in3", b"in4"]
    gate.release(b"outside")
    assert admitted(gate) == []
    gate.release(b"in2")
    assert admitted(gate) == ["in3"]
    gate.forget(b"in4")
    gate.release(b"in1")
    assert (admitted(gate), gate.waiting()) == ([], [])


def test_what_is_inside_an_inner_subgraph_counts_in_the_outer_one():
    gate = throttle(subgraphs=lambda step: {b"inner": 5, b"outer": 1} if step.startswith(b"in") else {b"outer": 1})
    for name in ("in1", "in2", "out"):
        gate.add(start(name))
    assert admitted(gate) == ["in1"]
    gate.release(b"in1")
    assert admitted(gate) == ["in2"]
    gate.release(b"in2")
    assert admitted(gate) == ["out"]


def test_the_place_of_a_step_that_its_map_keeps_out_goes_to_the_next_one_of_its_subgraph():
    gate = throttle(subgraphs=lambda step: {b"call": 1})
    for name, index in (("a", 0), ("b", 1), ("c", 2), ("d", 0)):
        gate.add(start(name, fan(index)))
    assert admitted(gate) == ["a"]
    gate.release(b"a")
    assert admitted(gate) == ["b"]
    gate.release(b"b")
    assert admitted(gate) == ["d"], "items 0 and 1 have the places of the map, so c is kept out"


def test_a_cancelled_step_that_had_been_let_ask_again_leaves_its_place_to_the_next():
    gate = throttle(max_parallel=2, subgraphs=lambda step: {b"call": 1} if step.startswith(b"in") else {})
    for name in ("in1", "in2", "in3", "a", "b"):
        gate.add(start(name))
    assert admitted(gate) == ["in1", "a"]
    gate.release(b"in1")
    gate.add(start("c"))
    assert admitted(gate) == ["b"]
    gate.forget(b"in2")
    for each in (b"a", b"b"):
        gate.release(each)
    assert admitted(gate) == ["c", "in3"]


def test_items_that_are_over_are_forgotten_also_those_of_maps_without_a_limit():
    over: set[tuple[bytes, int]] = set()
    gate, most = throttle(over=over), 0
    still_open = MapItem(step=b"wide", node="wide", index=0)
    gate.add(start("open", still_open))
    for turn in range(1_000):
        for index in range(5):
            item = MapItem(step=f"map{turn}".encode(), node="map", index=index)
            gate.add(start(f"{turn}:{index}", item))
            for name in admitted(gate):
                gate.release(name.encode())
            over.add((item.step, item.index))
        most = max(most, sum(map(len, gate._active.values())))
    assert most <= MIN_SWEEP
    assert len(gate._active) <= MIN_SWEEP
    assert gate._active[b"wide"] == {0}
