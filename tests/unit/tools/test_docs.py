"""The examples of docs/tools.md are code that runs."""

import asyncio
import re
from pathlib import Path

import pytest

from graphs.plan import find_reducer
from tools import Command, Context, Parts, registry
from tools.builtin.code_review.ruff import DEFAULT_IGNORE, DEFAULT_SELECT
from tools.calling import bind
from tools.parts import Interrupt

PAGE = (Path(__file__).parents[3] / "docs" / "tools.md").read_text()


@pytest.fixture
def examples(monkeypatch):
    """Runs every example of the page."""
    monkeypatch.setattr(registry, "_current", registry.Registry())
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(example, {"__name__": "example"})  # noqa: S102 - the page is ours


def run(name, **state):
    tool = registry.get(name)
    return tool.function(**bind(tool, inputs={}, state=state, context=Context(run_id="r", step_id="s")))


def test_the_examples_do_what_the_page_says(examples):
    assert run("count_words", text="to be or", shortest=3) == {"word_count": 0}
    lines = [{"article": "pen", "price": 2.0}]
    assert run("price_of", lines=lines, day="2026-01-31") == {
        "price": 2.0,
        "priced_on": "2026-01-31",
        "currency": "EUR",
    }
    assert run("summarize", b=1, a=2) == {"keys": ["a", "b"]}
    assert run("charge", amount=3, customer="c")["receipt"]["key"] == "r:s"
    assert run("import_rows", rows=[1, 2]) == {"imported": 2}
    assert run("close_ticket", ticket={"id": 1, "open": True}) == Command(
        update={"log": "closed 1"}, set={"ticket": {"id": 1, "open": False}}, delete=["draft"]
    )


def test_the_examples_of_parts_do_what_the_page_says(examples):
    reserved = {"article": "pen", "place": [3, 7]}
    assert run("order", articles=["pen"]) == {"reserved": [reserved]}
    fetch = registry.get("fetch_article").function
    assert asyncio.run(fetch(Context(), "pen")) == {"note": "fetch it at 3/7"}
    publish = registry.get("publish").function
    with pytest.raises(Interrupt) as asked:
        publish(Context(), "text")
    assert asked.value.question["title"] == "Publish “TEXT”?"
    answered = Context(parts=Parts({"translate": "Text", "interrupt-1": {"ok": True}}))
    assert publish(answered, "text") == {"published": "Text"}
    assert registry.get("book_seat").atomic


def test_the_reducer_of_the_page_keeps_the_longest(examples):
    assert find_reducer("longest@1").fold(None, ["a", "abc", "b"]) == "abc"


def test_the_page_names_every_built_in_tool():
    built_in = [tool.name for tool in registry.all() if tool.module.startswith("tools.builtin")]
    assert [name for name in built_in if f"`{name}`" not in PAGE] == []


def test_the_page_names_the_rules_that_are_used():
    assert f"--select {','.join(DEFAULT_SELECT)} --ignore {','.join(DEFAULT_IGNORE)}" in PAGE
