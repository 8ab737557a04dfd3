"""The tools as the nodes of the published loop."""

import ast
import json
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tools.code_review.steps import FIXTURES, call, one_turn, review
from tools import ToolError, registry
from tools.builtin.code_review import ruff, source
from tools.builtin.code_review.improvement import COMPLEXITY_LIMIT
from tools.builtin.code_review.issues import MAX_LISTED

ROOT = Path(__file__).parents[4]
SAMPLE = (ROOT / "examples" / "sample_to_review.py").read_text()
PUBLISHED = """
def calculate_total(items):
    total = 0
    for item in items:
        total = total + item
    return total
"""


def state_after(code, *tools, **inputs):
    state = {"code": code}
    for name in tools:
        call(name, state, **(inputs if name == tools[-1] else {}))
    return state


def issues_of(code):
    return state_after(code, "detect_issues")["issues"]


# ------------------------------------------------------------------ the loop


def test_the_published_example_is_good_enough_within_two_seconds():
    started = time.process_time()
    state = review(PUBLISHED)
    assert time.process_time() - started < 2
    assert state["quality_score"] == 9.0
    assert state["iteration"] == 1
    assert state["complexity_scores"] == {"calculate_total": 2}
    assert [one["name"] for one in state["functions"]] == ["calculate_total"]
    assert (state["issues"], state["suggestions"]) == ([], [])


def test_the_first_published_variant_ends_without_a_limit():
    state = review("def example():\n    pass", good_enough=lambda state: state["quality_score"] >= 7)
    assert state["quality_score"] >= 7


def test_the_sample_gets_better_every_turn_until_it_is_good_enough():
    state = review(SAMPLE)
    assert state["quality_history"] == sorted(set(state["quality_history"]))
    assert state["quality_history"][-1] == state["quality_score"] >= 7
    assert 2 <= state["iteration"] == len(state["quality_history"]) < 5
    assert state["original_code"] == SAMPLE
    assert {one["iteration"] for one in state["fixes_applied"]} == set(range(1, state["iteration"] + 1))
    ast.parse(state["code"])


def test_every_turn_leaves_a_state_that_describes_its_code():
    state = {"code": SAMPLE}
    for _ in range(5):
        one_turn(state)
        fresh = {"code": state["code"]}
        for name in ("extract_functions", "check_complexity", "detect_issues"):
            call(name, fresh)
        assert fresh.items() <= state.items()


def test_the_fixes_applied_account_for_the_issues_that_are_gone():
    state = {"code": SAMPLE}
    call("check_complexity", state)
    call("detect_issues", state)
    before = state["issue_count"]
    call("suggest_improvements", state)
    assert sum(one["count"] for one in state["fixes_applied"]) == before - state["issue_count"] > 0
    assert sum(one["fixed"] for one in state["suggestions"]) == before - state["issue_count"]


def test_code_that_nothing_improves_ends_at_the_limit():
    code = "def f(a, b, c):\n    l = a\n    O = b\n    I = eval(c)\n    return l + O + I\n"
    state = review(code)
    assert state["iteration"] == state["unchanged_turns"] == 5
    assert len(set(state["quality_history"])) == 1
    assert state["quality_score"] < 7
    assert state["code"] == state["original_code"] == code
    assert "fixes_applied" not in state
    assert [(one["rule"], one["fixed"]) for one in state["suggestions"]] == [
        ("E741", False),
        ("E741", False),
        ("E741", False),
        ("S307", False),
    ]


def test_a_loop_without_a_limit_fails_when_turns_change_nothing():
    with pytest.raises(ToolError, match=r"20 turns in a row changed nothing, and quality_score stays at 0\.0"):
        review("def f(:", good_enough=lambda state: state["quality_score"] >= 7)


def test_patience_is_adjustable():
    state = {"code": "x = 1\n", "unchanged_turns": 3, "complexity_scores": {}, "issue_count": 0}
    call("evaluate_quality", state, patience=4)
    with pytest.raises(ToolError, match="3 turns in a row"):
        call("evaluate_quality", state, patience=3)


def test_a_turn_fixes_one_stage_and_the_next_turn_the_next():
    state = {"code": "import sys, os\nclass A(object):\n    def f(self):\n        return sys\n"}
    fixed = []
    for _ in range(4):
        one_turn(state)
        fixed.append({one["rule"] for one in state["fixes_applied"] if one["iteration"] == state["iteration"]})
    assert fixed == [{"E401", "F401"}, {"UP004"}, {"I001"}, set()]


def test_issues_that_can_be_fixed_safely_but_are_not_do_not_block_later_stages(monkeypatch):
    fix = ruff.fix
    monkeypatch.setattr(
        "tools.builtin.code_review.improvement.fix",
        lambda code, rules: code if "F401" in rules else fix(code, rules),
    )
    state = {"code": "import os\n\n\nclass A(object):\n    pass\n"}
    one_turn(state)
    assert "class A:" in state["code"]
    assert "import os" in state["code"]


def test_a_function_past_mccabes_limit_gets_a_suggestion():
    branches = "".join(f"    if x == {number}:\n        return -x\n" for number in range(COMPLEXITY_LIMIT))
    state = review(f"def f(x):\n{branches}")
    assert state["complexity_scores"] == {"f": COMPLEXITY_LIMIT + 1}
    assert state["suggestions"][-1] == {
        "rule": "complexity",
        "line": 1,
        "advice": "Split f or simplify it: its cyclomatic complexity is 11.",
        "fixed": False,
    }


# ------------------------------------------------------------------ the score


def score(code, **state):
    state = {"code": code, "complexity_scores": {}, "issue_count": 0} | state
    call("evaluate_quality", state)
    return state["quality_score"], state["quality_penalties"]


@pytest.mark.parametrize(
    ("code", "state", "expected", "penalties"),
    [
        ("", {}, 10.0, (0, 0, 0)),
        ("x = 1\ny = 2\nz = 3\n", {"issue_count": 1}, 3.3, (6.67, 0, 0)),
        ("x = 1\n", {"issue_count": 5}, 0.0, (100, 0, 0)),
        ("def f(): return 1\n", {"complexity_scores": {"f": 10}}, 9.0, (0, 0, 1)),
        ("def f(): '''Doc.'''\n", {"complexity_scores": {"f": 15}}, 8.5, (0, 1.5, 0)),
        ("def f(): '''Doc.'''\n", {"complexity_scores": {"f": 90}}, 7.0, (0, 3, 0)),
        ("def f(): '''Doc.'''\ndef _g(): 1\n", {"complexity_scores": {"f": 15, "_g": 1}}, 9.2, (0, 0.75, 0)),
        ("class A:\n  '''Doc.'''\n  def f(self): 1\n", {"complexity_scores": {"A": 50, "A.f": 1}}, 9.5, (0, 0, 0.5)),
        ("class _A:\n  def f(self):\n    def g(): 1\n", {}, 10.0, (0, 0, 0)),
        ("def f(:", {"issue_count": 1}, 0.0, (10, 0, 0)),
    ],
)
def test_the_score_is_that_of_the_formula(code, state, expected, penalties):
    names = ("issues", "complexity", "documentation")
    assert score(code, **state) == (expected, dict(zip(names, penalties, strict=True)))


def test_the_turns_are_counted_and_their_scores_kept():
    state = {"code": "", "complexity_scores": {}, "issue_count": 0, "iteration": 2, "quality_history": [3.0, 4.5]}
    call("evaluate_quality", state)
    assert (state["iteration"], state["quality_history"]) == (3, [3.0, 4.5, 10.0])


# ------------------------------------------------------------------ any file


def test_a_syntax_error_is_an_issue_with_its_place():
    state = review("x = 1\ndef half(\n    return 2\n")
    assert state["quality_score"] == 0
    assert (state["functions"], state["complexity_scores"]) == ([], {})
    first = state["issues"][0]
    assert (first["rule"], first["line"], first["column"], first["fixable"]) == ("invalid-syntax", 2, 10, False)
    assert state["suggestions"][0]["rule"] == "invalid-syntax"


@pytest.mark.parametrize("path", sorted(FIXTURES.iterdir()), ids=lambda path: path.name)
def test_every_fixture_is_reviewed(path):
    state = review(path.read_bytes().decode())
    assert 1 <= state["iteration"] <= 5
    assert 0 <= state["quality_score"] <= 10


@pytest.mark.parametrize(
    "code",
    [
        "\ufeffimport os\nx = 1\n",
        "import os\r\nx = 1\r\n",
        "import os\n\x0c\nx = 1\n",
        "import os\nif True:\n\tx = 1\n",
        "import os\nx = '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u202e\u200b'\n",
    ],
)
def test_unusual_characters_are_kept(code):
    state = state_after(code, "check_complexity", "detect_issues", "suggest_improvements")
    left = code.replace("import os\r\n", "").replace("import os\n", "").replace("\x0c\n", "")
    assert state["code"].replace("\x0c\n", "") == left


def test_an_empty_file_has_no_fault():
    state = review("")
    assert (state["quality_score"], state["functions"], state["issues"]) == (10.0, [], [])


@pytest.mark.parametrize(
    "code",
    ["x = " + "+".join(["1"] * 5_000), "x = " + "-" * 100_000 + "1", "x = " + "(" * 300 + ")" * 300, "x = '\x00'"],
    ids=["deep", "deeper-than-ruff", "parentheses", "nul"],
)
def test_what_python_cannot_parse_is_an_issue(code):
    assert issues_of(code)[0]["rule"] == "invalid-syntax"
    assert score(code, issue_count=1)[0] == 0


def test_a_nul_that_ruff_quotes_is_shown_as_an_escape():
    [message] = [one["message"] for one in issues_of('print("%(\\0)s" % {"a": 1})\n') if one["rule"] == "F505"]
    assert message.endswith(r"placeholder(s): \0")


def test_radon_goes_on_after_a_statement_that_is_too_deep_for_it():
    said = []
    deep = "def deep():\n    return " + "+".join(["1"] * 600)
    tree = source.parse(f"{deep}\ndef after(): return 1 if x else 2\n")
    complexity_of = registry.get("check_complexity").function.__globals__["complexity_of"]
    assert complexity_of(tree, warn=said.append) == {"after": 2}
    assert said == ["radon cannot measure the statement at line 1: it is nested too deeply."]


def test_issues_are_listed_up_to_a_bound_and_counted_in_full():
    state = state_after("x = 1;\n" * (MAX_LISTED + 10), "detect_issues")
    assert (len(state["issues"]), state["issue_count"]) == (MAX_LISTED, MAX_LISTED + 10)


def test_ten_thousand_lines_are_reviewed_in_full():
    function = "def f{0}(a, b=[]):\n    if not a in b:\n        return a\n    else:\n        return '%s' % b\n"
    state = review("".join(function.format(number) for number in range(2_000)), good_enough=lambda _: True)
    assert len(state["functions"]) == len(state["complexity_scores"]) == 2_000
    assert state["fixes_applied"] == [{"iteration": 1, "rule": "E713", "count": 2_000}]
    assert (len(state["issues"]), len(state["suggestions"]), state["issue_count"]) == (5_000, 5_000, 6_000)


def test_a_file_past_the_size_limit_is_refused_in_a_sentence():
    fits = "#" * (source.MAX_CODE_BYTES - 1) + "\n"
    assert state_after(fits, "extract_functions")["functions"] == []
    with pytest.raises(ToolError, match=r"1,048,577 bytes; a review takes at most 1,048,576\."):
        state_after(fits + "\n", "extract_functions")


@settings(max_examples=25, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
    | st.text("def f(x):\n\t ifreturn=1'\"#[]", max_size=60)
)
def test_any_text_is_reviewed(code):
    assert 0 <= review(code)["quality_score"] <= 10


# ------------------------------------------------------------------ ruff itself


def test_an_unknown_rule_fails_with_ruffs_own_words():
    with pytest.raises(ToolError, match=r"Unknown rule selector `XYZ`"):
        state_after("x = 1\n", "detect_issues", ruff_select=["XYZ"])


def test_ruff_is_not_waited_for_without_end(monkeypatch):
    def hang(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ToolError, match=r"did not finish within 30 s\."):
        state_after("x = 1\n", "detect_issues")


def test_configuration_files_and_the_environment_change_nothing(tmp_path, monkeypatch):
    (tmp_path / "ruff.toml").write_text('lint.select = ["D"]\nlint.ignore = ["F401"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUFF_OUTPUT_FORMAT", "github")
    assert [one["rule"] for one in issues_of("import os\n")] == ["F401"]


# ------------------------------------------------------------------ the graph of the library


def test_the_library_has_the_published_graph():
    graph = json.loads((ROOT / "graphs" / "library" / "code_review.json").read_text())
    assert [node["tool"] for node in graph["nodes"].values()] == [
        "extract_functions",
        "check_complexity",
        "detect_issues",
        "suggest_improvements",
        "evaluate_quality",
    ]
    for node in graph["nodes"].values():
        assert registry.get(node["tool"]).effect == "pure"
    assert graph["nodes"]["evaluate_quality"]["next"]["condition"] == "quality_score >= 7 or iteration >= 5"
