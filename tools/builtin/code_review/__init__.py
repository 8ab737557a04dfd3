"""Review of one Python file: measure it, find issues, fix what is safe to fix, score it, again.

The tools are the nodes of a loop and share these state keys:

| key | meaning | written by |
|---|---|---|
| `code` | the file as it is now | you; `suggest_improvements` |
| `original_code` | the file as it came | `suggest_improvements` |
| `functions` | its functions, methods and closures | `extract_functions`, `suggest_improvements` |
| `complexity_scores` | cyclomatic complexity by name, by radon | `check_complexity`, `suggest_improvements` |
| `issues`, `issue_count` | what ruff finds | `detect_issues`, `suggest_improvements` |
| `suggestions` | what to do about each issue of this turn, and whether it was done | `suggest_improvements` |
| `fixes_applied` | what was fixed so far, by turn | `suggest_improvements` |
| `unchanged_turns` | turns in a row that changed nothing | `suggest_improvements` |
| `quality_score`, `quality_penalties` | 0 to 10, and what was taken off | `evaluate_quality` |
| `quality_history`, `iteration` | the scores of all turns, and how many there were | `evaluate_quality` |

After `suggest_improvements` all keys describe the improved `code`, so a score is always that of the code beside it.
Measuring is left to radon and ruff; `tests/unit/tools/code_review` compares every number with their command lines.
"""

from tools.builtin.code_review.complexity import check_complexity
from tools.builtin.code_review.extraction import extract_functions
from tools.builtin.code_review.improvement import suggest_improvements
from tools.builtin.code_review.issues import detect_issues
from tools.builtin.code_review.quality import evaluate_quality

__all__ = ["check_complexity", "detect_issues", "evaluate_quality", "extract_functions", "suggest_improvements"]
