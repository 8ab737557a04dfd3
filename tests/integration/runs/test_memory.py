"""What a driver keeps of runs that are over: nothing."""

import gc

import pytest

from runs import control
from runs.driver.execution import Execution
from runs.driver.invoke import Call
from runs.engine import RunState
from runs.models import Step
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

KEPT_NOT = (Execution, Call, RunState)
LIMITS = {"timeout_s": 3600}
LOOP = {"condition": "n >= 3", "if_true": "end", "if_false": "a"}
RUNS = {
    "in threads": {"a": {"tool": "increment", "next": LOOP}},
    "coroutines": {"a": {"tool": "increment_async", "timeout_s": 3600, "next": LOOP}},
    "inline": {"a": {"tool": "increment", "executor": "inline", "next": LOOP}},
    "words": {"a": {"tool": "talk"}},
    "failed": {"a": {"tool": "misbehave", "inputs": {"how": "raise"}}},
    "failed as a coroutine": {"a": {"tool": "misbehave_async", "inputs": {"how": "cancel itself"}}},
    "timed out": {"a": {"tool": "sleep_a_while_async", "timeout_s": 0.01}},
    "map": {
        "a": {"next": {"map": "= [1, 2, 3]", "as": "x", "to": "w", "join": "j", "max_parallel": 2}},
        "w": {"tool": "double", "inputs": {"x": "= x"}},
        "j": {},
    },
    "fork": {
        "a": {"next": ["b", "c"]},
        "b": {"tool": "increment", "next": "j"},
        "c": {"next": "j"},
        "j": {"join": "any"},
    },
}


def alive() -> list[str]:
    """The kinds of what is left of runs in this process."""
    gc.collect()
    # Not isinstance, which asks a weak proxy for the class of what is gone.
    return [type(one).__name__ for one in gc.get_objects() if issubclass(type(one), KEPT_NOT)]


def test_nothing_of_a_run_that_is_over_stays_in_memory(actor):
    entered, _ = gate("memory")
    with driving():
        for _ in range(3):
            started = [start(actor, nodes, {"n": 0}, limits=LIMITS) for nodes in RUNS.values()]
            for run in started:
                finish(run)
        cancelled = start(actor, {"a": {"tool": "wait_for", "inputs": {"name": "memory"}}}, limits=LIMITS)
        wait_until(lambda: entered.is_set() and Step.objects.filter(run=cancelled).exists(), "its tool runs")
        control.cancel_run(run=cancelled, actor=actor)
        assert finish(cancelled).status == "cancelled"
        wait_until(lambda: not alive(), "nothing is left")
