"""The pages in a browser, on a whole installation: what a person sees and can do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from tests.acceptance.conftest import BROWSER, BUILT, Installation

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="There is no Chromium here: apt-get install chromium"),
    pytest.mark.skipif(not BUILT.exists(), reason="The front end is not built: make setup"),
]

PHONE = {"width": 390, "height": 844}
CODE = "import os\ndef total(items):\n    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n"

REVIEW: dict[str, Any] = {
    "extract": {"tool": "extract_functions", "next": "check"},
    "check": {"tool": "check_complexity", "next": "detect"},
    "detect": {"tool": "detect_issues", "next": "suggest"},
    "suggest": {"tool": "suggest_improvements", "next": "evaluate"},
    "evaluate": {
        "tool": "evaluate_quality",
        "next": {"condition": "iteration >= 2", "if_true": "end", "if_false": "check"},
    },
}

# begin → [quick, split ⇉ work] → meet(all)
PARALLEL: dict[str, Any] = {
    "begin": {"tool": "noop", "next": ["quick", "split"]},
    "quick": {"tool": "noop", "next": "meet"},
    "split": {"tool": "noop", "next": {"map": "= items", "to": "work", "join": "meet", "collect": {"done": "= item"}}},
    "work": {"tool": "sleep", "inputs": {"seconds": "= item"}, "next": "meet"},
    "meet": {"tool": "set_state", "join": "all", "inputs": {"values": {"total": "= sum(done)"}}},
}
STATE = {"schema": {"type": "object", "properties": {"items": {"type": "array"}}, "required": ["items"]}}
FOREVER = {"wait": {"tool": "sleep", "inputs": {"seconds": 600}}}


def node(page: Page, name: str) -> Any:
    return page.get_by_test_id(f"node-{name}")


def status(page: Page) -> Any:
    return page.get_by_test_id("run-status")


def what_is_shown(page: Page, nodes: dict[str, Any]) -> dict[str, Any]:
    expect(node(page, next(iter(nodes)))).to_be_visible()
    return {
        "status": status(page).inner_text(),
        "log": page.get_by_test_id("log").locator("li > span").all_inner_texts(),
        "state": page.get_by_test_id("state").inner_text().replace("new", ""),
        "nodes": {
            name: (node(page, name).get_attribute("data-status"), node(page, name).inner_text()) for name in nodes
        },
        "bars": page.locator(".timeline-bar").count(),
    }


def test_a_run_is_started_from_its_form_and_followed_to_its_end(page: Page, installation: Installation) -> None:
    graph = installation.create(PARALLEL, state=STATE)
    page.goto(f"graphs/{graph}/")
    expect(node(page, "meet")).to_contain_text("waits for all branches")
    expect(node(page, "split")).to_contain_text("for each item in items")
    page.get_by_label("items").fill("[0.1, 1.5, 0.2]")
    page.get_by_role("button", name="Start").click()

    expect(page).to_have_url(re.compile("/runs/"))
    expect(node(page, "split")).to_have_attribute("data-status", "running")
    expect(node(page, "split")).to_contain_text("2/3")
    expect(node(page, "quick")).to_have_attribute("data-status", "completed")
    expect(node(page, "meet")).to_have_attribute("data-status", "idle")

    expect(status(page)).to_have_text("completed")
    expect(node(page, "split")).to_contain_text("3/3")
    expect(node(page, "meet")).to_have_attribute("data-status", "completed")
    expect(page.get_by_test_id("log")).to_contain_text("Run completed")
    expect(page.get_by_test_id("state")).to_contain_text("total: 1.8")


def test_a_page_that_followed_shows_the_same_as_one_opened_afterwards(
    page: Page, context: BrowserContext, installation: Installation
) -> None:
    run = installation.start(installation.create(PARALLEL), items=[0.3, 0.6])
    page.goto(f"runs/{run}/")
    expect(status(page)).to_have_text("completed")
    expect(page.get_by_test_id("state")).to_contain_text("total")
    afterwards = context.new_page()
    afterwards.goto(f"runs/{run}/")
    assert what_is_shown(page, PARALLEL) == what_is_shown(afterwards, PARALLEL)


def test_a_review_shows_its_loop(page: Page, installation: Installation) -> None:
    run = installation.start(installation.create(REVIEW), code=CODE, iteration=0)
    page.goto(f"runs/{run}/")
    expect(status(page)).to_have_text("completed")
    expect(node(page, "extract")).not_to_contain_text("×")
    expect(node(page, "evaluate")).to_contain_text("×2")
    expect(page.locator(".edge-label", has_text="no")).to_have_attribute("data-live", "taken")
    above, below = node(page, "check").bounding_box(), node(page, "evaluate").bounding_box()
    assert above and below and above["y"] < below["y"]


def test_a_failure_is_told_at_the_run_at_its_node_and_in_the_log(page: Page, installation: Installation) -> None:
    graph = installation.create(
        {"a": {"tool": "sleep", "inputs": {"seconds": 0.3}, "next": "b"}, "b": {"tool": "fail"}}
    )
    page.goto(f"runs/{installation.start(graph)}/")
    expect(status(page)).to_have_text("failed")
    expect(node(page, "b")).to_have_attribute("data-status", "failed")
    expect(page.locator(".run-error")).to_contain_text("This tool always fails.")
    expect(page.get_by_test_id("log")).to_contain_text("This tool always fails.")


def test_a_run_is_cancelled_from_its_page(page: Page, installation: Installation) -> None:
    page.goto(f"runs/{installation.start(installation.create(FOREVER))}/")
    expect(node(page, "wait")).to_have_attribute("data-status", "running")
    page.get_by_text("Cancel run", exact=True).click()
    page.get_by_label("Reason").fill("took too long")
    page.get_by_role("button", name="Cancel this run").click()
    expect(status(page)).to_have_text("cancelled")
    expect(node(page, "wait")).to_have_attribute("data-status", "cancelled")
    expect(page.get_by_text("Cancel run", exact=True)).to_have_count(0)


def test_a_broken_connection_is_made_again_and_nothing_is_missing(page: Page, installation: Installation) -> None:
    addresses: list[str] = []

    def break_the_first(route: WebSocketRoute) -> None:
        addresses.append(route.url)
        server = route.connect_to_server()
        if len(addresses) == 1:

            def forward_once(message: str | bytes) -> None:
                route.send(message)
                route.close(code=1012)

            server.on_message(forward_once)

    page.route_web_socket(re.compile("/ws/graph/run/"), break_the_first)
    nodes = {f"n{i}": {"tool": "sleep", "inputs": {"seconds": 0.3}, "next": f"n{i + 1}"} for i in range(5)}
    nodes["n5"] = {"tool": "noop"}
    run = installation.start(installation.create(nodes))
    page.goto(f"runs/{run}/")
    expect(status(page)).to_have_text("completed")
    cursors = [int(re.search(r"after=(\d+)", address)[1]) for address in addresses]
    assert len(cursors) == 2
    assert cursors[0] < cursors[1]
    expect(page.get_by_test_id("log").locator("li > span", has_text="Completed node")).to_have_text(
        [f"Completed node: n{i}" for i in range(6)]
    )


def test_everything_can_be_done_with_the_keyboard(page: Page, installation: Installation) -> None:
    run = installation.start(installation.create(PARALLEL), items=[0, 0])
    installation.finish(run)
    page.goto(f"runs/{run}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.locator(".react-flow__node[data-id=work]").focus()
    page.keyboard.press("Enter")
    lines = page.get_by_test_id("log").locator("li > span")
    expect(lines.filter(has_not_text="work")).to_have_count(0)
    expect(lines.filter(has_text="work")).to_have_count(4)
    page.keyboard.press("Escape")
    expect(lines.filter(has_text="Run completed")).to_have_count(1)
    row = page.get_by_role("button", name="quick", exact=True)
    row.focus()
    page.keyboard.press("Space")
    expect(row).to_have_attribute("aria-pressed", "true")
    expect(lines).to_have_count(2)


NAMELESS = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary')]
    .filter((element) => element.checkVisibility())
    .filter((element) => !(element.innerText?.trim() || element.ariaLabel || element.title || element.labels?.length))
    .map((element) => element.outerHTML)"""


@pytest.fixture
def paths(installation: Installation) -> list[str]:
    graph = installation.create(PARALLEL, name="a_graph_with_quite_a_long_name_that_has_no_blank_in_it", state=STATE)
    run = installation.start(graph, items=[0, 0, 0])
    installation.finish(run)
    return ["", "graphs/", f"graphs/{graph}/", "runs/", f"runs/{run}/", "login/", "nowhere/"]


@pytest.fixture
def visit(page: Page) -> Callable[[str], None]:
    """Open a path and wait until its drawing is there, if it has one."""

    def open_page(path: str) -> None:
        page.goto(path)
        if re.search(r"/.{36}/", path):
            expect(node(page, "begin")).to_be_visible()

    return open_page


def test_no_page_is_wider_than_a_phone(page: Page, visit: Callable[[str], None], paths: list[str]) -> None:
    page.set_viewport_size(PHONE)
    for path in paths[:-1]:
        visit(path)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path


def test_everything_that_can_be_used_has_a_name(page: Page, visit: Callable[[str], None], paths: list[str]) -> None:
    for path in paths[:-1]:
        visit(path)
        assert page.evaluate(NAMELESS) == [], path


def test_without_scripts_pages_say_the_same_in_words(
    browser: Browser, installation: Installation, paths: list[str]
) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=installation.url)
    page = context.new_page()
    page.goto(paths[4])
    expect(page.get_by_text("begin tool noop → quick, split")).to_be_visible()
    expect(page.get_by_text("Run completed")).to_be_visible()
    expect(page.locator("pre", has_text='"items"')).to_be_visible()
    page.goto(paths[2])
    page.get_by_label("items").fill("[0]")
    page.get_by_role("button", name="Start").click()
    expect(page).to_have_url(re.compile("/runs/"))
    context.close()


def test_nothing_moves_for_who_wants_no_motion(page: Page, installation: Installation) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"runs/{installation.start(installation.create(FOREVER))}/")
    icon = node(page, "wait").locator(".node-icon svg")
    expect(icon).to_be_visible()
    assert icon.evaluate("(element) => getComputedStyle(element).animationName") == "none"


def test_who_logs_in_is_named_and_can_log_out(page: Page, installation: Installation) -> None:
    page.goto("login/?next=/runs/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(installation.password)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile("/runs/$"))
    expect(page.get_by_text("admin · ")).to_be_visible()
    expect(page.get_by_role("link", name="Admin")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
