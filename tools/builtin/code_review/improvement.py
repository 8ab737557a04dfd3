"""Improving a file a step at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from typing_extensions import TypedDict

from tools import Context, tool
from tools.builtin.code_review.complexity import COMPLEXITY_LIMIT, complexity_of
from tools.builtin.code_review.extraction import Function, functions_of
from tools.builtin.code_review.issues import MAX_LISTED, listed
from tools.builtin.code_review.ruff import DEFAULT_IGNORE, DEFAULT_SELECT, Issue, find_issues, fix
from tools.builtin.code_review.source import definitions, parse_readable

STAGES: tuple[tuple[str, frozenset[str]], ...] = (
    ("likely bugs", frozenset({"F", "E", "B", "S", "PIE"})),
    ("outdated syntax", frozenset({"UP"})),
    ("needless complication", frozenset({"C", "SIM", "RET", "PERF"})),
)
"""What one turn fixes, by the letters of ruff's rule codes. All other rules come last, as layout."""


class Suggestion(TypedDict):
    rule: str
    line: int
    """In the code as this turn found it."""
    advice: str
    fixed: bool


class Fix(TypedDict):
    iteration: int
    """The turn, counted from 1."""
    rule: str
    count: int


class Improvement(TypedDict, total=False):
    suggestions: list[Suggestion]
    unchanged_turns: int
    fixes_applied: list[Fix]
    original_code: str
    code: str
    functions: list[Function]
    complexity_scores: dict[str, int]
    issues: list[Issue]
    issue_count: int


@tool(effect="pure")
def suggest_improvements(
    ctx: Context,
    code: str,
    issues: list[Issue],
    issue_count: int,
    complexity_scores: dict[str, int],
    original_code: str | None = None,
    fixes_applied: Sequence[Fix] = (),
    iteration: int = 0,
    unchanged_turns: int = 0,
    ruff_select: Sequence[str] = DEFAULT_SELECT,
    ruff_ignore: Sequence[str] = DEFAULT_IGNORE,
) -> Improvement:
    """Say what to do about each issue, and do one stage of it: the first that ruff can fix safely.

    The stages, one a turn, are likely bugs, outdated syntax, needless complication, layout. Where
    something was fixed, the new code comes with its functions, complexity and issues; the code as it came is kept in
    `original_code`. Where nothing can be fixed, the code stays as it is and `unchanged_turns` grows.
    """
    first_code: Improvement = {"original_code": code} if original_code is None else {}
    too_complex = _too_complex(code, complexity_scores)
    found = issues if len(issues) == issue_count else find_issues(code, ruff_select, ruff_ignore)
    improved = _one_stage(ctx, code, found)
    if improved == code:
        suggestions = _suggestions(found, found)[:MAX_LISTED] + too_complex
        return {**first_code, "suggestions": suggestions, "unchanged_turns": unchanged_turns + 1}
    tree = parse_readable(improved)
    left = find_issues(improved, ruff_select, ruff_ignore)
    suggestions = _suggestions(found, left)
    return {
        **first_code,
        **listed(left),
        "code": improved,
        "functions": functions_of(tree),
        "complexity_scores": complexity_of(tree, warn=ctx.log),
        "suggestions": suggestions[:MAX_LISTED] + too_complex,
        "fixes_applied": [*fixes_applied, *_fixes(suggestions, iteration + 1)],
        "unchanged_turns": 0,
    }


def _one_stage(ctx: Context, code: str, issues: Sequence[Issue]) -> str:
    """Return the code after the first stage that changes it, or the code as it is."""
    for stage, rules in _stages(issues):
        improved = fix(code, rules)
        if improved != code:
            ctx.log(f"Fixed {stage}: {', '.join(rules)}")
            return improved
    return code


def _stages(issues: Sequence[Issue]) -> Iterator[tuple[str, list[str]]]:
    rules = sorted({issue["rule"] for issue in issues if issue["fixable"]})
    for stage, letters in STAGES:
        if chosen := [rule for rule in rules if _letters(rule) in letters]:
            yield stage, chosen
    known = frozenset().union(*(letters for _, letters in STAGES))
    if others := [rule for rule in rules if _letters(rule) not in known]:
        yield "layout", others


def _letters(rule: str) -> str:
    return rule.rstrip("0123456789")


def _suggestions(found: Sequence[Issue], left: Sequence[Issue]) -> list[Suggestion]:
    # Fixes move lines and change messages, so how many issues of a rule are gone is certain, which ones a good guess.
    gone_by_rule = Counter(issue["rule"] for issue in found) - Counter(issue["rule"] for issue in left)
    gone = Counter(map(_sameness, found)) - Counter(map(_sameness, left))
    suggestions: list[Suggestion] = []
    for issue in found:
        fixed = gone[_sameness(issue)] > 0 and gone_by_rule[issue["rule"]] > 0
        gone[_sameness(issue)] -= fixed
        gone_by_rule[issue["rule"]] -= fixed
        suggestions.append(Suggestion(rule=issue["rule"], line=issue["line"], advice=issue["advice"], fixed=fixed))
    return suggestions


def _sameness(issue: Issue) -> tuple[str, str]:
    return issue["rule"], issue["message"]


def _too_complex(code: str, complexity_scores: dict[str, int]) -> list[Suggestion]:
    too_complex = {name for name, score in complexity_scores.items() if score > COMPLEXITY_LIMIT}
    if not too_complex:
        return []
    return [
        Suggestion(
            rule="complexity",
            line=one.node.lineno,
            advice=f"Split {one.name} or simplify it: its cyclomatic complexity is {complexity_scores[one.name]}.",
            fixed=False,
        )
        for one in definitions(parse_readable(code))
        if one.kind != "class" and one.name in too_complex
    ]


def _fixes(suggestions: Sequence[Suggestion], iteration: int) -> list[Fix]:
    counts = Counter(suggestion["rule"] for suggestion in suggestions if suggestion["fixed"])
    return [Fix(iteration=iteration, rule=rule, count=count) for rule, count in sorted(counts.items())]
