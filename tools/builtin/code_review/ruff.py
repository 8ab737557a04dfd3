"""Running ruff. The same command line by hand gives the same issues:

    ruff check --isolated --no-cache --config 'src = []' --target-version py311 --select … --ignore … file.py

No configuration file is read, and no module beside the server counts as the file's own (`src = []`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from ruff import find_ruff_bin
from typing_extensions import TypedDict

from tools import ToolError
from tools.builtin.code_review.source import Unreadable, parse

DEFAULT_SELECT = ("E", "F", "W", "I", "B", "UP", "C4", "SIM", "PIE", "RET", "PERF", "S")
DEFAULT_IGNORE = ("E501", "S101")
"""Long lines are a matter of taste, and assertions belong into tests."""

TIMEOUT_S = 30
SYNTAX_ERROR = "invalid-syntax"
"""Ruff's name for it; used for what only Python itself refuses, too."""


class Issue(TypedDict):
    """One finding. `line` and `column` count from 1."""

    rule: str
    """Ruff's code, such as F401."""
    name: str
    """Ruff's name of the rule, such as unused-import."""
    message: str
    line: int
    column: int
    advice: str
    """How to fix it, if ruff knows; else the message."""
    fixable: bool
    """Ruff can fix it without changing what the code does."""


def find_issues(code: str, select: Sequence[str], ignore: Sequence[str]) -> list[Issue]:
    """Return ruff's findings in the order of their lines, or else the syntax error that only Python sees."""
    try:
        parse(code)
        unreadable = None
    except Unreadable as error:
        unreadable = error
    output = _run(code, "--output-format=json", *_selection(select, ignore))
    if output is None:
        return [_syntax_error(Unreadable("ruff cannot analyse the code; it is nested too deeply."))]
    issues = [_issue(finding) for finding in json.loads(output)]
    if unreadable and not any(issue["rule"] == SYNTAX_ERROR for issue in issues):
        issues.insert(0, _syntax_error(unreadable))
    return issues


def fix(code: str, rules: Sequence[str]) -> str:
    """Return the code with ruff's safe fixes of these rules."""
    fixed = _run(code, "--fix-only", "--no-unsafe-fixes", *_selection(rules, ()))
    return code if fixed is None else fixed


def _run(code: str, *options: str) -> str | None:
    """Return what ruff prints about the code, None if the code made it crash."""
    command = [
        *(_binary(), "check", "--isolated", "--no-cache", "--quiet", "--config=src = []", *options),
        *(f"--target-version=py{sys.version_info.major}{sys.version_info.minor}", "--stdin-filename=code.py", "-"),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own binary; the code is data on its input
            command, input=code.encode(), capture_output=True, timeout=TIMEOUT_S, check=False, env={}
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"ruff did not finish within {TIMEOUT_S} s.") from None
    if done.returncode < 0:
        return None
    if done.returncode > 1:
        raise ToolError(" ".join(done.stderr.decode(errors="replace").split()) or "ruff failed without a word.")
    return done.stdout.decode()


@cache
def _binary() -> str:
    return find_ruff_bin()


def _selection(select: Sequence[str], ignore: Sequence[str]) -> list[str]:
    return [f"--select={','.join(select)}", *([f"--ignore={','.join(ignore)}"] if ignore else [])]


def _issue(finding: dict[str, Any]) -> Issue:
    fix = finding["fix"] or {}
    return Issue(
        rule=finding["code"],
        name=finding["name"],
        message=_printable(finding["message"]),
        line=finding["location"]["row"],
        column=finding["location"]["column"],
        advice=_printable(fix.get("message") or finding["message"]),
        fixable=fix.get("applicability") == "safe",
    )


def _printable(message: str) -> str:
    # Ruff quotes the value of a string, not its source; the state holds no NUL.
    return message.replace("\0", "\\0")


def _syntax_error(error: Unreadable) -> Issue:
    return Issue(
        rule=SYNTAX_ERROR,
        name=SYNTAX_ERROR,
        message=error.message,
        line=error.line,
        column=error.column,
        advice=error.message,
        fixable=False,
    )
