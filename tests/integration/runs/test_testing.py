"""The fixture `workflow`, which finds graphs and simulates them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphs import services
from runs.engine.simulate import Diverged, SimulationError

CHILD = {"name": "Child", "start_node": "x", "nodes": {"x": {"outputs": {"n": "= n + 1"}}}}
PARENT = {
    "name": "Parent",
    "start_node": "a",
    "nodes": {"a": {"graph": "child", "inputs": {"n": "= n"}, "outputs": {"n": "= result.n"}}},
}


@pytest.fixture
def child(actor):
    """Published as version 1 and, with another sum, as version 2."""
    first = services.create_graph(definition=CHILD, actor=actor)
    changed = {**CHILD, "nodes": {"x": {"outputs": {"n": "= n + 2"}}}}
    draft = services.create_draft(graph=first.graph, definition=changed, actor=actor)
    return services.publish_version(version=draft, actor=actor)


def test_a_definition_is_simulated_without_a_database(workflow):
    assert workflow.simulate(CHILD, {"n": 1}).state == {"n": 2}


def test_a_file_is_read(workflow, tmp_path):
    path = tmp_path / "child.json"
    path.write_text(json.dumps(CHILD))
    assert workflow.simulate(path, {"n": 1}).state == {"n": 2}
    assert workflow.simulate(str(path), {"n": 1}).state == {"n": 2}
    assert workflow.simulate(PARENT, {"n": 1}, graphs={"child": path}).state == {"n": 2}


def test_a_published_graph_is_found_by_name(workflow, child):
    assert workflow.simulate("child", {"n": 1}).state == {"n": 3}
    assert workflow.simulate("child@1", {"n": 1}).state == {"n": 2}


def test_a_graph_that_is_called_is_found_among_the_published_ones(workflow, child):
    assert workflow.simulate(PARENT, {"n": 1}, kill_at="everywhere").state == {"n": 3}
    assert workflow.simulate(PARENT, {"n": 1}, graphs={"child": CHILD}).state == {"n": 2}


def test_a_draft_is_not_found(workflow, actor):
    services.create_draft(definition=CHILD, actor=actor)
    with pytest.raises(SimulationError, match="'child' is published"):
        workflow.simulate("child")


def test_orders_can_be_shuffled(workflow, child):
    assert workflow.simulate_shuffled("child", {"n": 1}, orders=2).state == {"n": 3}
    race = {
        "name": "race",
        "start_node": "s",
        "nodes": {
            "s": {"next": ["a", "b"]},
            "a": {"outputs": {"first": "a"}, "next": "j"},
            "b": {"outputs": {"first": "b"}, "next": "j"},
            "j": {"join": "any"},
        },
    }
    with pytest.raises(Diverged):
        workflow.simulate_shuffled(race)


def test_a_published_graph_without_a_database_fails_the_test(tmp_path):
    """In a process of its own: a project that has not set Django up."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["runs.testing"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("def test_it(workflow):\n    workflow.simulate('child', {})\n")
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "1 failed" in ran.stdout, ran.stdout
    assert 'To find the graph "child" among those that are published' in ran.stdout
