"""One number for a file.

    quality_score = 10 - issues - complexity - documentation, at least 0, rounded to one decimal

    issues         20 * issues / statements: Pylint's formula, with every finding of ruff counted as two
    complexity     0.3 * the mean over functions of what their complexity has over McCabe's limit of 10; at most 3
    documentation  the share of public functions, methods and classes that have no docstring

Code that cannot be parsed has the score 0: nothing about it can be measured.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from typing_extensions import TypedDict

from tools import ToolError, tool
from tools.builtin.code_review.complexity import COMPLEXITY_LIMIT
from tools.builtin.code_review.source import Definition, Unreadable, definitions, parse, statements

BEST = 10.0
PER_ISSUE_AND_STATEMENT = 20.0
PER_EXCESS_COMPLEXITY = 0.3
MOST_FOR_COMPLEXITY = 3.0


class Penalties(TypedDict):
    """What was taken off the ten points."""

    issues: float
    complexity: float
    documentation: float


class Quality(TypedDict):
    quality_score: float
    quality_penalties: Penalties
    quality_history: list[float]
    iteration: int


@tool(effect="pure")
def evaluate_quality(
    code: str,
    complexity_scores: dict[str, int],
    issue_count: int,
    iteration: int = 0,
    quality_history: Sequence[float] = (),
    unchanged_turns: int = 0,
    patience: int = 20,
) -> Quality:
    """Score the code from 0 to 10 by the density of its issues, its complexity and its documentation.

    Counts the turn in `iteration`. Fails when `patience` turns in a row changed nothing: then the loop around it has a
    condition that never comes true.
    """
    penalties = _penalties(code, complexity_scores, issue_count)
    lost = penalties["issues"] + penalties["complexity"] + penalties["documentation"]
    score = round(max(0.0, BEST - lost), 1)
    if unchanged_turns >= patience:
        raise ToolError(
            f"The code does not get better: {unchanged_turns} turns in a row changed nothing, and quality_score stays "
            f"at {score}. Lower the threshold, or bound the loop, as in `quality_score >= 7 or iteration >= 5`."
        )
    return {
        "quality_score": score,
        "quality_penalties": penalties,
        "quality_history": [*quality_history, score],
        "iteration": iteration + 1,
    }


def _penalties(code: str, complexity_scores: dict[str, int], issue_count: int) -> Penalties:
    try:
        tree = parse(code)
    except Unreadable:
        return {"issues": BEST, "complexity": 0.0, "documentation": 0.0}
    statement_count = sum(1 for _ in statements(tree))
    defined = definitions(tree)
    return {
        "issues": round(PER_ISSUE_AND_STATEMENT * issue_count / max(statement_count, 1), 2),
        "complexity": round(_for_complexity(defined, complexity_scores), 2),
        "documentation": round(_for_documentation(defined), 2),
    }


def _for_complexity(defined: Sequence[Definition], complexity_scores: dict[str, int]) -> float:
    scores = [complexity_scores[one.name] for one in defined if one.kind != "class" and one.name in complexity_scores]
    excess = sum(max(0, score - COMPLEXITY_LIMIT) for score in scores)
    return min(MOST_FOR_COMPLEXITY, PER_EXCESS_COMPLEXITY * excess / max(len(scores), 1))


def _for_documentation(defined: Sequence[Definition]) -> float:
    public = [one for one in defined if one.public]
    undocumented = sum(ast.get_docstring(one.node, clean=False) is None for one in public)
    return undocumented / max(len(public), 1)
