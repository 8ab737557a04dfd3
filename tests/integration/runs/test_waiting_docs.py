"""The examples of docs/waiting.md do what the page says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from graphs.services import create_graph
from runs.human_tasks import answer_task
from runs.models import HumanTask, Step
from runs.selectors import current_state
from runs.services import start_run
from runs.signals import signal_business_key, signal_run
from tests.support.runs import driving, finish
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (Path(__file__).parents[3] / "docs" / "waiting.md").read_text()
EXAMPLES = {each["name"]: each for each in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))}


def started(name: str, actor: Any, **options: Any) -> Any:
    return start_run(version=create_graph(definition=EXAMPLES[name], actor=actor), state={}, actor=actor, **options)


def test_all_examples_are_tested_here():
    assert set(EXAMPLES) == {"remind", "order", "first of several", "approval"}


def test_a_timer(actor):
    with driving():
        assert "reminded_at" in current_state(finish(started("remind", actor))).values


def test_a_signal_by_business_key(actor):
    signal_business_key(business_key="order 7", name="paid", payload={"amount": 30}, actor=actor)
    with driving():
        assert current_state(finish(started("order", actor, business_key="order 7"))).values == {"amount": 30}


@pytest.mark.parametrize(("name", "way", "node"), [("accepted", 0, "ship"), ("declined", 1, "refund")])
def test_the_first_of_several(actor, name, way, node):
    run = started("first of several", actor)
    signal_run(run=run, name=name, payload=None, actor=actor)
    with driving():
        finish(run)
    assert current_state(run).values == {"way": way}
    assert Step.objects.filter(run=run, node=node).exists()


def test_an_approval(actor):
    with driving():
        run = started("approval", actor)
        wait_until(lambda: HumanTask.objects.filter(run=run).exists(), "somebody is asked")
        answer_task(task=HumanTask.objects.get(run=run), answer={"approved": True}, actor=actor)
        finish(run)
    assert current_state(run).values == {"approved": True}
    assert Step.objects.filter(run=run, node="pay").exists()
