"""Nodes with `cache`, in real drivers."""

import json
import threading

import pytest
from django.core.cache import caches
from django.test import override_settings

from runs import selectors
from runs.driver import reuse
from runs.models import CacheEntry, Event, Run
from runs.store.table_cache import TableCache
from tests.support.runs import driving, finish, start
from tests.support.tools import Lazy
from tests.support.waiting import wait_until
from tools import Command, Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

calls: list[str] = []
gates: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def fresh():
    calls.clear()
    gates.clear()
    caches[reuse.ALIAS].clear()
    yield
    caches[reuse.ALIAS].clear()


@tool(effect="read", name="look_up")
def look_up(word: str, ctx: Context, extra: int = 0) -> dict:
    calls.append(word)
    if word in gates:
        gates[word].wait(10)
    if word.startswith("bad") and calls.count(word) == 1:
        raise ValueError("not this time")
    return {"found": word.upper(), "extra": extra}


@tool(effect="pure", name="decide")
def decide(word: str) -> Command:
    calls.append(word)
    return Command(update={"log": word}, set={"n": 1}, delete=["gone"], goto="b")


@tool(effect="pure", name="answer_once")
def answer_once() -> Command:
    calls.append("once")
    return Command(update=Lazy(ConnectionError("gone"), times=1))


def lookup(**cache) -> dict:
    return {"a": {"tool": "look_up", "cache": {"ttl_s": 60, **cache}}}


def completed(run: Run) -> dict:
    return json.loads(Event.objects.get(run=run, type="StepCompleted", data__contains='"node":"a"').data)


def test_an_equal_call_is_answered_from_the_cache_and_says_by_which_step(actor):
    with driving():
        first = finish(start(actor, lookup(), {"word": "x"}))
        second = finish(start(actor, lookup(), {"word": "x"}))
    assert calls == ["x"]
    assert selectors.current_state(second).values == selectors.current_state(first).values
    assert "cached_from" not in completed(first)
    assert completed(second)["cached_from"] == f"{first.uuid}:{completed(first)['step']}"


def test_the_api_and_the_log_tell_that_a_result_is_from_the_cache(actor, api_client):
    with driving():
        first = finish(start(actor, lookup(), {"word": "x"}))
        second = finish(start(actor, lookup(), {"word": "x"}))
    entries = api_client.get(f"/api/v1/runs/{second.uuid}/events/").json()["results"]
    entry = next(entry for entry in entries if entry["type"] == "StepCompleted")
    assert entry["message"] == "Completed node: a, from the cache"
    assert entry["data"]["cached_from"].startswith(str(first.uuid))


@pytest.mark.parametrize(
    ("node", "states"),
    [
        (lookup(), [{"word": "x"}, {"word": "y"}]),
        (lookup(), [{"word": "x", "extra": 1}, {"word": "x", "extra": 2}]),
        (lookup(key="= [word, day]"), [{"word": "x", "day": 1}, {"word": "x", "day": 2}]),
    ],
    ids=["argument", "argument with a default", "key"],
)
def test_another_argument_or_key_is_another_entry(actor, node, states):
    with driving():
        for state in states:
            finish(start(actor, node, state))
    assert len(calls) == 2


def test_a_key_leaves_out_what_it_does_not_name(actor):
    with driving():
        finish(start(actor, lookup(key="= word"), {"word": "x", "extra": 1}))
        second = finish(start(actor, lookup(key="= word"), {"word": "x", "extra": 2}))
    assert calls == ["x"]
    assert selectors.current_state(second).values["extra"] == 1


def test_organizations_share_nothing(actor, stranger_actor):
    with driving():
        for one in (actor, stranger_actor):
            finish(start(one, lookup(), {"word": "x"}))
    assert calls == ["x", "x"]


def test_an_entry_that_has_expired_is_computed_again(actor):
    with driving():
        finish(start(actor, lookup(), {"word": "x"}))
        wait_until(lambda: CacheEntry.objects.filter(key__contains="value:").exists(), "it is kept")
        CacheEntry.objects.update(expires_at="2000-01-01T00:00Z")
        finish(start(actor, lookup(), {"word": "x"}))
    assert calls == ["x", "x"]


def test_a_failure_is_not_kept(actor):
    with driving():
        assert finish(start(actor, lookup(), {"word": "bad"})).status == "failed"
        assert finish(start(actor, lookup(), {"word": "bad"})).status == "completed"
    assert calls == ["bad", "bad"]


def test_a_result_that_the_step_cannot_use_is_not_kept(actor):
    strict = {"schema": {"type": "object", "properties": {"found": {"type": "integer"}}}}
    with driving():
        assert finish(start(actor, lookup(), {"word": "x"}, state=strict)).status == "failed"
        assert finish(start(actor, lookup(), {"word": "x"})).status == "completed"
    assert calls == ["x", "x"]


def test_a_result_that_can_be_read_only_once_is_the_step_s_and_is_not_kept(actor):
    nodes = {"a": {"tool": "answer_once", "cache": {"ttl_s": 60}}}
    with driving():
        for _ in range(2):
            assert selectors.current_state(finish(start(actor, nodes))).values["v"] == 1
    assert calls == ["once", "once"]


def test_a_command_comes_back_whole(actor):
    nodes = {"a": {"tool": "decide", "cache": {"ttl_s": 60}, "next": {"dynamic": ["b", "c"]}}, "b": {}, "c": {}}
    initial = {"word": "x", "gone": 1, "n": 0, "log": []}
    more = {"state": {"reducers": {"log": "append"}}}
    with driving():
        ends = [finish(start(actor, nodes, initial, **more)) for _ in range(2)]
    assert calls == ["x"]
    assert [selectors.current_state(run).values for run in ends] == [{"word": "x", "n": 1, "log": ["x"]}] * 2


def test_of_many_who_want_it_at_once_one_computes_it(actor):
    gates["x"] = threading.Event()
    with driving(), driving():
        runs = [start(actor, lookup(), {"word": "x"}) for _ in range(12)]
        wait_until(lambda: calls, "one computes it")
        wait_until(lambda: Run.objects.filter(status="running").count() == 12, "all are under way")
        gates["x"].set()
        assert {finish(run).status for run in runs} == {"completed"}
    assert calls == ["x"]
    assert sum("cached_from" in completed(run) for run in runs) == 11


def test_when_the_first_fails_the_next_one_computes_it(actor):
    with driving():
        runs = [start(actor, lookup(), {"word": "bad"}) for _ in range(5)]
        assert sorted(finish(run).status for run in runs) == ["completed"] * 4 + ["failed"]
    assert calls == ["bad", "bad"]


def test_a_claim_whose_driver_died_runs_out(actor, monkeypatch):
    monkeypatch.setattr(reuse, "CLAIM_S", 0.3)
    with driving():
        finish(start(actor, lookup(), {"word": "x"}))
        wait_until(lambda: CacheEntry.objects.filter(key__contains="value:").exists(), "it is kept")
        (value,) = CacheEntry.objects.filter(key__contains="value:")
        claim = value.key.replace("value:", "claim:").removeprefix(":1:")
        value.delete()
        wait_until(lambda: caches[reuse.ALIAS].add(claim, "of a dead driver", 0.3), "the first claim is given back")
        assert finish(start(actor, lookup(), {"word": "x"})).status == "completed"
    assert calls == ["x", "x"]


def test_a_claim_is_renewed_while_the_computation_goes_on(actor, monkeypatch):
    monkeypatch.setattr(reuse, "CLAIM_S", 0.3)
    gates["x"] = threading.Event()
    threading.Timer(1.0, gates["x"].set).start()
    with driving():
        runs = [start(actor, lookup(), {"word": "x"}) for _ in range(2)]
        assert {finish(run).status for run in runs} == {"completed"}
    assert calls == ["x"]


def test_a_call_that_is_given_up_lets_the_next_one_compute(actor):
    gates["x"] = threading.Event()
    with driving():
        finish(start(actor, {"a": {**lookup()["a"], "timeout_s": 0.2}}, {"word": "x"}))
        gates.pop("x").set()
        assert finish(start(actor, lookup(), {"word": "x"})).status == "completed"
    assert calls == ["x", "x"]


@pytest.mark.parametrize(("room", "expected"), [(0, 1), (-1, 2)], ids=["at the limit", "a byte more"])
def test_a_result_of_the_limit_is_kept_and_a_larger_one_is_not(actor, settings, room, expected):
    with driving():
        first = finish(start(actor, lookup(), {"word": "y"}))
        wait_until(lambda: CacheEntry.objects.filter(key__contains="value:").exists(), "it is kept")
        size = len(CacheEntry.objects.get(key__contains="value:").value)
    assert str(first.uuid) in CacheEntry.objects.get(key__contains="value:").value
    calls.clear()
    limits = settings.WORKFLOW.model_copy(update={"max_cached_bytes": size + room})
    with override_settings(WORKFLOW=limits), driving():
        for _ in range(2):
            finish(start(actor, lookup(), {"word": "x"}))
    assert len(calls) == expected


def test_a_cache_that_cannot_be_reached_costs_a_computation_and_nothing_else(actor, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(TableCache, "get", refuse)
    with driving():
        for _ in range(2):
            assert finish(start(actor, lookup(), {"word": "x"})).status == "completed"
    assert calls == ["x", "x"]


# --------------------------------------------------------------------------- the table


@pytest.fixture
def table() -> TableCache:
    return TableCache("", {})


def test_the_table_keeps_json_until_its_time_is_over(table):
    table.set("a", {"x": [1, "ä"]}, 60)
    assert table.get("a") == {"x": [1, "ä"]}
    table.set("a", 2, -1)
    assert table.get("a", "gone") == "gone"
    assert not table.touch("a", 60)


def test_a_key_is_added_once_until_its_time_is_over(table):
    assert table.add("a", 1, 60)
    assert not table.add("a", 2, 60)
    assert table.get("a") == 1
    CacheEntry.objects.update(expires_at="2000-01-01T00:00Z")
    assert table.add("a", 3, None)
    assert table.get("a") == 3
    assert table.delete("a")
    assert not table.delete("a")


def test_what_has_expired_is_swept_by_whoever_writes(table):
    table.set("old", 1, -1)
    fresh = TableCache("", {})
    fresh.set("new", 1, 1e300)
    assert [entry.key for entry in CacheEntry.objects.all()] == [":1:new"]
