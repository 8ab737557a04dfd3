"""No run keeps the others of its driver waiting, however long or wide it is."""

import time

import pytest

from runs import selectors, services
from runs.driver.journal import MAX_AHEAD
from runs.models import Event, Run, Step
from tests.support.runs import driving, finish, start
from tests.support.stores import store_class
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = {"a": {"tool": "increment", "next": "b"}, "b": {"tool": "increment_async", "next": "c"}, "c": {}}
ITEMS = 5_000


@pytest.mark.parametrize("durability", list(Run.Durability))
@pytest.mark.parametrize("tool", ["increment_async", "increment", None], ids=["coroutine", "function", "no tool"])
def test_an_endless_loop_of_inline_steps_does_not_starve_the_short_runs_beside_it(actor, durability, tool):
    loop = {"a": {"next": "a"} if tool is None else {"tool": tool, "executor": "inline", "next": "a"}}
    unlimited = {"max_steps": 10**6, "max_iterations": 10**6}
    with driving():
        long = start(actor, loop, {"n": 0}, limits=unlimited, durability=durability)
        wait_until(lambda: Run.objects.filter(pk=long.pk, driver__isnull=False).exists(), "the loop is driven")
        shorts = [start(actor, SHORT, {"n": number}) for number in range(20)]
        for number, short in enumerate(shorts):
            assert finish(short).status == Run.Status.COMPLETED, short.error
            assert selectors.current_state(short).values == {"n": number + 2}
        long.refresh_from_db()
        assert long.status == Run.Status.RUNNING
    long.refresh_from_db()
    assert long.driver is None, "it is handed back while it loops"


def test_a_run_that_does_not_wait_for_its_commits_waits_when_they_fall_behind(actor, monkeypatch):
    hindered = store_class()
    commit, sizes = hindered.commit, []

    def slow_commit(self, writes):
        sizes.extend(len(write.events) for write in writes)
        time.sleep(0.05)
        return commit(self, writes)

    monkeypatch.setattr(hindered, "commit", slow_commit)
    loop = {"a": {"tool": "increment_async", "next": {"condition": "n >= 1000", "if_true": "end", "if_false": "a"}}}
    with driving():
        run = finish(start(actor, loop, {"n": 0}, limits={"max_iterations": 2_000}, durability="async"))
    assert run.status == Run.Status.COMPLETED, run.error
    assert MAX_AHEAD // 2 < max(sizes) <= MAX_AHEAD + 5


@pytest.mark.slow
def test_a_map_of_thousands_of_items_does_not_starve_a_short_run_and_comes_to_its_end(actor):
    #  s ══ map of 5,000 ══► w ──► j
    nodes = {
        "s": {"next": {"map": "= xs", "as": "x", "to": "w", "join": "j", "collect": {"ys": "= n"}}},
        "w": {"tool": "increment_async", "inputs": {"n": "= x"}},
        "j": {},
    }
    with driving():
        ready = finish(start(actor, SHORT, {"n": 0})).version
        wide = start(actor, nodes, {"xs": list(range(ITEMS)), "n": 0})
        wait_until(lambda: Event.objects.filter(run=wide, seq__gt=1).exists(), "its items are under way")
        short = finish(services.start_run(version=ready, state={"n": 0}, actor=actor))
        assert finish(wide).status == Run.Status.COMPLETED, wide.error
    assert short.status == Run.Status.COMPLETED, short.error
    assert short.finished_at < wide.finished_at
    assert selectors.current_state(wide).values["ys"] == list(range(1, ITEMS + 1))
    assert Step.objects.filter(run=wide, node="w", status="completed").count() == ITEMS
