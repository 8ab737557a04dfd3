"""The review tools in runs of the published graph, by a real driver."""

import copy
import json
from pathlib import Path

import pytest

from runs import selectors
from tests.support.runs import driving, finish, start

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[3]
GRAPH = json.loads((ROOT / "graphs" / "library" / "code_review.json").read_text())
TURN = ["check_complexity", "detect_issues", "suggest_improvements", "evaluate_quality"]
HOPELESS = "def f(:\n"


@pytest.fixture(autouse=True)
def driver():
    with driving() as stop:
        yield stop


def reviewed(actor, code, nodes=GRAPH["nodes"]):
    run = start(actor, nodes, {"code": code, "quality_score": 0, "iteration": 0})
    return finish(run)


def started(run):
    return [line.removeprefix("Started node: ") for line in selectors.execution_log(run) if line.startswith("Started")]


def without_limit():
    nodes = copy.deepcopy(GRAPH["nodes"])
    nodes["evaluate_quality"]["next"]["condition"] = "quality_score >= 7"
    return nodes


def test_the_sample_is_improved_until_it_is_good_enough(actor):
    run = reviewed(actor, (ROOT / "examples" / "sample_to_review.py").read_text())
    state = selectors.current_state(run).values
    assert run.status == "completed"
    assert state["quality_score"] >= 7
    assert 2 <= state["iteration"] == len(state["quality_history"]) < 5
    assert started(run) == ["extract", *TURN * state["iteration"]]


def test_what_cannot_be_improved_ends_at_the_limit(actor):
    run = reviewed(actor, HOPELESS)
    assert run.status == "completed"
    assert started(run) == ["extract", *TURN * 5]


def test_a_loop_with_a_threshold_alone_ends_when_the_code_is_good(actor):
    run = reviewed(actor, "def example():\n    pass", without_limit())
    assert run.status == "completed"
    assert selectors.current_state(run).values["quality_score"] >= 7


def test_a_loop_with_a_threshold_alone_fails_in_a_sentence_where_nothing_helps(actor):
    run = reviewed(actor, HOPELESS, without_limit())
    assert run.status == "failed"
    assert "20 turns in a row changed nothing" in run.error
