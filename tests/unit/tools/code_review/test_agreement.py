"""Every number is the analyser's own: compared with the command lines of radon and ruff on files."""

import argparse
import ast
import dataclasses
import json
import subprocess
import sys
import textwrap
import tomllib._parser
from pathlib import Path

import pytest
from ruff import find_ruff_bin

from tests.unit.tools.code_review.steps import FIXTURES, call
from tools.builtin.code_review.ruff import DEFAULT_IGNORE, DEFAULT_SELECT, fix

STANDARD_LIBRARY = [Path(module.__file__) for module in (argparse, dataclasses, textwrap, tomllib._parser)]
PARSABLE = [FIXTURES / "shapes.py", FIXTURES / "naïve.py", *STANDARD_LIBRARY]
FILES = [FIXTURES / "broken.py", FIXTURES / "python2.py", *PARSABLE]
RUFF = ["check", "--isolated", "--no-cache", "--config=src = []", f"--target-version=py3{sys.version_info.minor}"]


def ruff(*arguments, cwd):
    return subprocess.run([find_ruff_bin(), *RUFF, *arguments], cwd=cwd, capture_output=True, check=False)


def source_of(path):
    return path.read_bytes().decode()


def reviewed(name, code, **inputs):
    state = {"code": code}
    call(name, state, **inputs)
    return state


@pytest.fixture(scope="module")
def radon():
    """What `radon cc -s -j --show-closures` says of each file."""
    command = [sys.executable, "-m", "radon", "cc", "-s", "-j", "--show-closures", *map(str, PARSABLE)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("path", PARSABLE, ids=lambda path: path.name)
def test_complexity_is_what_radon_says(path, radon):
    scores = reviewed("check_complexity", source_of(path))["complexity_scores"]
    ours = sorted((name.partition(":")[0].rpartition(".")[2], score) for name, score in scores.items())
    assert ours == sorted((block["name"].rpartition(".")[2], block["complexity"]) for block in radon[str(path)])


def test_complexity_names_every_function_method_closure_and_class():
    assert reviewed("check_complexity", source_of(FIXTURES / "shapes.py"))["complexity_scores"] == {
        "fibonacci": 2,
        "gather": 4,
        "outer": 2,
        "outer.inner": 1,
        "outer.inner.innermost": 4,
        "Shape": 2,
        "Shape.__init__": 1,
        "Shape.side": 1,
        "Shape.side:45": 2,
        "Shape.Corner": 4,
        "Shape.Corner.angle": 3,
        "Shape.area": 2,
        "Shape.area.scaled": 1,
        "platform_name": 1,
        "platform_name:76": 1,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_issues_are_what_ruff_says(path, tmp_path):
    selection = (f"--select={','.join(DEFAULT_SELECT)}", f"--ignore={','.join(DEFAULT_IGNORE)}")
    said = json.loads(ruff("--output-format=json", *selection, str(path), cwd=tmp_path).stdout)
    state = reviewed("detect_issues", source_of(path))
    assert said
    assert [(one["rule"], one["line"], one["column"], one["message"]) for one in state["issues"]] == [
        (one["code"], one["location"]["row"], one["location"]["column"], one["message"]) for one in said
    ]
    assert state["issue_count"] == len(said)
    assert [one["fixable"] for one in state["issues"]] == [
        one["fix"] is not None and one["fix"]["applicability"] == "safe" for one in said
    ]


def test_the_rules_can_be_chosen(tmp_path):
    path = FIXTURES / "shapes.py"
    said = json.loads(ruff("--output-format=json", "--select=D,ANN", "--ignore=D203", str(path), cwd=tmp_path).stdout)
    state = reviewed("detect_issues", source_of(path), ruff_select=["D", "ANN"], ruff_ignore=["D203"])
    assert state["issue_count"] == len(said) > 10
    assert {one["rule"].rstrip("0123456789") for one in state["issues"]} == {"D", "ANN"}


@pytest.mark.parametrize("path", [*PARSABLE[:2], *STANDARD_LIBRARY[:2]], ids=lambda path: path.name)
def test_fixes_are_what_ruff_does(path, tmp_path):
    rules = ["E", "F", "I", "UP", "RET"]
    copy = tmp_path / "code.py"
    copy.write_bytes(path.read_bytes())
    ruff("--fix-only", f"--select={','.join(rules)}", "code.py", cwd=tmp_path)
    assert fix(source_of(path), rules) == source_of(copy)
    assert source_of(copy) != source_of(path)


@pytest.mark.parametrize("path", PARSABLE, ids=lambda path: path.name)
def test_functions_are_those_of_the_syntax_tree(path):
    code = source_of(path)
    nodes = [one for one in ast.walk(ast.parse(code)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    functions = reviewed("extract_functions", code)["functions"]
    assert sorted((one["line"], one["end_line"], one["is_async"], one["documented"]) for one in functions) == sorted(
        (one.lineno, one.end_lineno, isinstance(one, ast.AsyncFunctionDef), ast.get_docstring(one) is not None)
        for one in nodes
    )
    assert len({one["name"] for one in functions}) == len(functions)
    assert [one["line"] for one in functions] == sorted(one["line"] for one in functions)


def test_functions_are_described():
    functions = {
        one["name"]: one for one in reviewed("extract_functions", source_of(FIXTURES / "shapes.py"))["functions"]
    }
    assert list(functions) == [
        "fibonacci",
        "gather",
        "outer",
        "outer.inner",
        "outer.inner.innermost",
        "outer.Local.method",
        "Shape.__init__",
        "Shape.side",
        "Shape.side:45",
        "Shape.Corner.angle",
        "Shape.area",
        "Shape.area.scaled",
        "platform_name",
        "platform_name:76",
    ]
    assert functions["gather"] == {
        "name": "gather",
        "kind": "function",
        "line": 12,
        "end_line": 19,
        "is_async": True,
        "parameters": ["*sources", "timeout", "**options"],
        "decorators": [],
        "documented": True,
    }
    assert functions["fibonacci"]["decorators"] == ["functools.lru_cache"]
    assert functions["Shape.side:45"]["decorators"] == ["side.setter"]
    assert functions["Shape.area"]["parameters"] == ["a", "b", "scale"]
    assert [functions[name]["kind"] for name in ("outer.inner", "Shape.area", "outer.Local.method")] == [
        "closure",
        "method",
        "method",
    ]


def test_a_decorator_without_a_name_is_shown_as_an_ellipsis():
    code = "@(lambda f: f)\n@table[0].wrap(1)\n@a.b.c\ndef f(): ..."
    assert reviewed("extract_functions", code)["functions"][0]["decorators"] == ["…", "….wrap", "a.b.c"]
