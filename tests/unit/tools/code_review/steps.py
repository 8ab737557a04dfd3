"""Running the review tools as the steps of a run do."""

from pathlib import Path

from tools import Context, registry
from tools.calling import bind
from tools.results import check_result

TURN = ("check_complexity", "detect_issues", "suggest_improvements", "evaluate_quality")
FIXTURES = Path(__file__).parents[3] / "fixtures" / "code_review"


def call(name, state, **inputs):
    """Run a tool as a step does, and put its update into the state."""
    tool = registry.get(name)
    arguments = bind(tool, inputs=inputs, state=state, context=Context())
    state.update(check_result(tool.function(**arguments), max_bytes=4 * 2**20, max_depth=64))


def one_turn(state):
    for name in TURN:
        call(name, state)


def review(code, good_enough=lambda state: state["quality_score"] >= 7 or state["iteration"] >= 5):
    """Run the published graph: extract, then turns until the code is good enough."""
    state = {"code": code, "quality_score": 0, "iteration": 0}
    call("extract_functions", state)
    one_turn(state)
    while not good_enough(state):
        one_turn(state)
    return state
