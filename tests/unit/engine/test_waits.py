"""What waits wait for, and what comes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graphs.expressions import ExpressionError
from graphs.spec import WaitSpec, parse_definition
from runs.engine import Raised
from runs.engine.waits import WaitInvalid, begin_wait, came, moments_of, signals_of, timed_out

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def spec(**wait: Any) -> WaitSpec:
    nodes = {"a": {"wait": wait}, "b": {}}
    found = parse_definition({"name": "g", "start_node": "a", "nodes": nodes}).nodes["a"].wait
    assert found is not None
    return found


def test_a_delay_is_a_moment_from_now_on():
    wait = begin_wait(spec(seconds="= minutes * 60"), {"minutes": 2}, now=NOW)
    assert moments_of(wait) == [(NOW + timedelta(minutes=2), 0)]


def test_the_name_of_a_signal_may_be_an_expression():
    names = {"order": {"id": "7"}}
    alone = begin_wait(spec(signal='= order.id + "-paid"'), names, now=NOW)
    one_of_two = begin_wait(
        spec(any=[{"signal": "==plain"}, {"signal": "= order.kind"}]), {"order": {"kind": "k"}}, now=NOW
    )
    assert signals_of(alone) == {"7-paid": 0}
    assert signals_of(one_of_two) == {"=plain": 0, "k": 1}


@pytest.mark.parametrize(
    ("until", "names"),
    [
        ("2026-12-24T18:00:00+01:00", {}),
        ("= due", {"due": "2026-12-24T18:00:00+01:00"}),
        ("= due", {"due": "2026-12-24T17:00:00Z"}),
    ],
)
def test_a_moment_has_a_zone(until: str, names: dict[str, Any]):
    wait = begin_wait(spec(until=until), names, now=NOW)
    assert moments_of(wait) == [(datetime(2026, 12, 24, 17, tzinfo=UTC), 0)]


@pytest.mark.parametrize(
    ("wait", "names"),
    [
        ({"seconds": "= x"}, {"x": -1}),
        ({"seconds": "= x"}, {"x": "1"}),
        ({"seconds": "= x"}, {"x": True}),
        ({"seconds": "= x"}, {"x": 1e12}),
        ({"until": "= x"}, {"x": "tomorrow"}),
        ({"until": "= x"}, {"x": 5}),
        ({"signal": "= x"}, {"x": 5}),
        ({"signal": "= x"}, {"x": ""}),
        ({"signal": "= x"}, {"x": "x" * 256}),
        ({"until": "= x"}, {"x": "2026-12-24T18:00:00"}),
    ],
)
def test_what_is_no_time_and_no_name_is_refused(wait: dict[str, Any], names: dict[str, Any]):
    with pytest.raises(WaitInvalid):
        begin_wait(spec(**wait), names, now=NOW)


def test_a_name_that_is_not_there_is_the_expressions_error():
    with pytest.raises(ExpressionError):
        begin_wait(spec(seconds="= nothing"), {}, now=NOW)


def test_a_signal_comes_from_outside_and_may_come_too_late():
    wait = begin_wait(spec(signal="paid", timeout_s=30), {}, now=NOW)
    assert wait["entries"] == [{"signal": "paid"}]
    assert moments_of(wait) == [(NOW + timedelta(seconds=30), None)]


def test_the_first_of_several_wins_and_tells_which_it_was():
    several = spec(any=[{"signal": "paid", "next": "b"}, {"seconds": 5}])
    assert moments_of(begin_wait(several, {}, now=NOW)) == [(NOW + timedelta(seconds=5), 1)]
    paid = came(several, 0, {"payload": {"amount": 3}, "name": "paid"})
    assert (paid.value, paid.implied, paid.route) == (
        {"payload": {"amount": 3}, "name": "paid", "fired": 0},
        {"amount": 3},
        ("b",),
    )
    assert came(several, 1, {"at": "x"}).route is None


@pytest.mark.parametrize(("payload", "update"), [({"k": 1}, {"k": 1}), (3, {}), (None, {}), ([1], {})])
def test_a_payload_is_the_update_if_it_is_an_object(payload: Any, update: dict[str, Any]):
    assert came(spec(signal="paid"), 0, {"payload": payload, "name": "paid"}).implied == update


def test_a_timeout_leads_elsewhere_or_fails():
    wait = {"timeout_at": NOW.isoformat()}
    elsewhere = timed_out(spec(signal="paid", timeout_s=5, on_timeout="b"), wait)
    assert elsewhere.route == ("b",)
    failed = timed_out(spec(signal="paid", timeout_s=5), wait)
    assert isinstance(failed, Raised)
    assert failed.error.type == "TimeoutError"
