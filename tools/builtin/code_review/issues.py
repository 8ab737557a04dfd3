"""What ruff finds in a file."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import TypedDict

from tools import tool
from tools.builtin.code_review.ruff import DEFAULT_IGNORE, DEFAULT_SELECT, Issue, find_issues

MAX_LISTED = 5_000


class Findings(TypedDict):
    issues: list[Issue]
    """The first 5,000."""
    issue_count: int
    """All."""


@tool(effect="pure")
def detect_issues(
    code: str, ruff_select: Sequence[str] = DEFAULT_SELECT, ruff_ignore: Sequence[str] = DEFAULT_IGNORE
) -> Findings:
    """Find code smells, likely bugs and syntax errors with ruff's rules.

    `ruff_select` and `ruff_ignore` take ruff's rule codes and prefixes. Give them in the state, or in the inputs of
    both `detect_issues` and `suggest_improvements`.
    """
    return listed(find_issues(code, ruff_select, ruff_ignore))


def listed(issues: Sequence[Issue]) -> Findings:
    """Return issues as state keys: listed up to the bound, and counted in full."""
    return {"issues": list(issues[:MAX_LISTED]), "issue_count": len(issues)}
