"""The pages in a browser, on a whole installation: what a person sees and can do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
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


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(100)
    assert condition()


def what_is_shown(page: Page, nodes: Iterable[str]) -> dict[str, Any]:
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


def test_a_run_is_started_from_its_form_and_followed_to_its_end(
    page: Page, installation: Installation, tmp_path: Path
) -> None:
    gate, work = tmp_path / "gate", {**PARALLEL["work"], "tool": "wait_for_file", "inputs": {"path": "= item"}}
    split = {"tool": "noop", "next": {**PARALLEL["split"]["next"], "collect": {"done": "= index"}}}
    graph = installation.create({**PARALLEL, "split": split, "work": work}, state=STATE)
    page.goto(f"graphs/{graph}/")
    expect(node(page, "meet")).to_contain_text("waits for all branches")
    expect(node(page, "split")).to_contain_text("for each item in items")
    page.get_by_label("items").fill(json.dumps([str(tmp_path), str(gate), str(tmp_path)]))
    page.get_by_role("button", name="Start").click()

    expect(page).to_have_url(re.compile("/runs/"))
    expect(node(page, "split")).to_have_attribute("data-status", "running")
    expect(node(page, "split")).to_contain_text("2/3")
    expect(node(page, "quick")).to_have_attribute("data-status", "completed")
    expect(node(page, "meet")).to_have_attribute("data-status", "idle")

    gate.touch()
    expect(status(page)).to_have_text("completed")
    expect(node(page, "split")).to_contain_text("3/3")
    expect(node(page, "meet")).to_have_attribute("data-status", "completed")
    expect(page.get_by_test_id("log")).to_contain_text("Run completed")
    expect(page.get_by_test_id("state")).to_contain_text("total: 3")


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


def test_a_run_is_paused_by_keyboard_and_says_so(page: Page, installation: Installation) -> None:
    page.goto(f"runs/{installation.start(installation.create(FOREVER))}/")
    page.get_by_role("button", name="Pause").press("Enter")
    expect(status(page)).to_have_text("pausing")  # its tool is still under way
    expect(page.get_by_label("Why the run is not moving")).to_contain_text("The run is paused: ")


def test_a_run_that_a_breakpoint_holds_is_stepped_and_resumed(page: Page, installation: Installation) -> None:
    graph = installation.create({"a": {"tool": "noop", "next": "b"}, "b": {"tool": "noop"}})
    page.goto(f"runs/{installation.start_held(graph, at='a')}/")
    reasons = page.get_by_label("Why the run is not moving")
    expect(reasons).to_contain_text('Node "a" is held by the pause')
    page.get_by_role("button", name="Step into").press("Enter")
    expect(reasons).to_contain_text('Node "b" is held by the pause')
    page.get_by_role("button", name="Resume").press("Enter")
    expect(status(page)).to_have_text("completed")
    expect(reasons).to_have_count(0)


def test_a_run_is_cancelled_from_its_page(page: Page, installation: Installation) -> None:
    page.goto(f"runs/{installation.start(installation.create(FOREVER))}/")
    expect(node(page, "wait")).to_have_attribute("data-status", "running")
    page.get_by_text("Cancel run", exact=True).click()
    page.get_by_label("Reason").fill("took too long")
    page.get_by_role("button", name="Cancel this run").click()
    expect(status(page)).to_have_text("cancelled")
    expect(node(page, "wait")).to_have_attribute("data-status", "cancelled")
    expect(page.get_by_text("Cancel run", exact=True)).to_have_count(0)


def retrying(**more: Any) -> dict[str, Any]:
    """A node that fails at once, and is to be tried again in an hour."""
    return {"tool": "fail", "retry": {"max_attempts": 2, "max_interval_s": 3600, **more}}


def shows_the_same_when_loaded_again(page: Page, nodes: Iterable[str]) -> None:
    before = what_is_shown(page, nodes)
    page.reload()
    wait_until(page, lambda: what_is_shown(page, nodes) == before)


def test_a_failed_attempt_is_told_with_the_time_of_the_next(page: Page, installation: Installation) -> None:
    failing = retrying(initial_interval_s=3600, jitter=False, on=["ToolError"])
    nodes = {"look": {"tool": "sleep", "inputs": {"seconds": 1}, "next": "fetch"}, "fetch": failing}
    page.goto(f"runs/{installation.start(installation.create(nodes), order=7)}/")
    expect(node(page, "fetch")).to_have_attribute("data-status", "retrying")
    expect(node(page, "fetch")).to_contain_text(re.compile(r"attempt 2 at \d\d:\d\d:\d\d"))
    expect(node(page, "fetch").get_by_label("up to 2 attempts")).to_be_visible()
    expect(status(page)).to_have_text("waiting")
    expect(page.locator(".timeline-bar[data-status=failed] + .timeline-bar[data-status=retrying]")).to_have_count(1)
    shows_the_same_when_loaded_again(page, nodes)


def test_a_wait_says_what_for(page: Page, installation: Installation) -> None:
    nodes = {
        "look": {"tool": "sleep", "inputs": {"seconds": 1}, "next": "pay"},
        "pay": {"wait": {"any": [{"signal": "paid"}, {"seconds": 3600}]}},
    }
    page.goto(f"runs/{installation.start(installation.create(nodes), order=7)}/")
    expect(node(page, "pay")).to_have_attribute("data-status", "waiting")
    expect(node(page, "pay")).to_contain_text(re.compile(r"signal paid or until \d\d:\d\d:\d\d"))
    expect(status(page)).to_have_text("waiting")
    expect(page.get_by_test_id("log")).to_contain_text("Waiting at node: pay: signal paid or until")
    shows_the_same_when_loaded_again(page, nodes)


def test_a_pause_shows_where_the_run_is_held(page: Page, installation: Installation, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    nodes = {
        "look": {"tool": "noop", "next": ["fetch", "slow"]},
        "fetch": retrying(max_attempts=1, on_exhausted="pause", on=["ToolError"]),
        "slow": {"tool": "wait_for_file", "inputs": {"path": str(gate)}, "outputs": {}, "next": "later"},
        "later": {"tool": "noop"},
    }
    page.goto(f"runs/{installation.start(installation.create(nodes), order=7)}/")
    expect(status(page)).to_have_text("pausing")
    expect(node(page, "fetch")).to_have_attribute("data-status", "held")
    gate.touch()
    expect(status(page)).to_have_text("paused")
    expect(node(page, "later")).to_have_attribute("data-status", "held")
    shows_the_same_when_loaded_again(page, nodes)


def test_a_run_that_is_patched_is_drawn_anew(page: Page, installation: Installation) -> None:
    nodes = {"look": {"tool": "noop", "next": "pay"}, "pay": {"wait": {"signal": "paid"}, "outputs": {}}}
    run = installation.start(installation.create(nodes), order=7)
    page.goto(f"runs/{run}/")
    expect(node(page, "pay")).to_have_attribute("data-status", "waiting")
    changes = {
        "look": {"next": "await"},
        "pay": None,
        "await": {**nodes["pay"], "next": "more"},
        "more": {"tool": "noop"},
    }
    installation.ask(run, "patch", changes={"nodes": changes}, mapping={"pay": "await"})
    expect(node(page, "more")).to_be_visible()
    expect(node(page, "pay")).to_have_count(0)
    expect(node(page, "await")).to_have_attribute("data-status", "waiting")
    shows_the_same_when_loaded_again(page, ["look", "await", "more"])


def test_a_run_that_is_stepped_out_of_is_paused_no_more(page: Page, installation: Installation) -> None:
    nodes = {"a": {"tool": "noop", "next": "b"}, "b": {"wait": {"signal": "never"}}}
    graph = installation.create(nodes, state={"defaults": {"order": 7}})
    run = installation.start_held(graph, at="a")
    page.goto(f"runs/{run}/")
    expect(status(page)).to_have_text("paused")
    installation.ask(run, "step", mode="out")
    expect(status(page)).to_have_text("waiting")
    shows_the_same_when_loaded_again(page, nodes)


def test_a_map_that_collects_nothing_counts_its_items_while_it_runs(page: Page, installation: Installation) -> None:
    route = {"map": "= [0, 0, 600]", "as": "seconds", "to": "work", "join": "end"}
    work = {"tool": "sleep", "inputs": {"seconds": "= seconds"}, "outputs": {}}
    nodes = {"look": {"tool": "sleep", "inputs": {"seconds": 1}, "next": "fan"}, "fan": {"next": route}, "work": work}
    page.goto(f"runs/{installation.start(installation.create(nodes), order=7)}/")
    expect(node(page, "fan")).to_contain_text("2/3")
    shows_the_same_when_loaded_again(page, nodes)


def test_items_that_wait_for_their_turn_are_scheduled_and_not_under_way(
    page: Page, installation: Installation, tmp_path: Path
) -> None:
    gates = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    route = {"map": "= gates", "as": "gate", "to": "work", "join": "end", "max_parallel": 1}
    work = {"tool": "wait_for_file", "inputs": {"path": "= gate"}, "outputs": {}}
    graph = installation.create({"fan": {"next": route}, "work": work})
    page.goto(f"runs/{installation.start(graph, gates=[str(gate) for gate in gates])}/")
    bars = page.locator(".timeline-row", has=page.get_by_role("button", name="work")).locator(".timeline-bar")
    queued = page.locator(".timeline-bar[data-status=queued]")
    expect(queued).to_have_count(2)
    expect(bars).to_have_count(3)
    expect(page.get_by_test_id("log")).to_contain_text("Scheduled node: work (fan[2])")
    page.reload()
    expect(queued).to_have_count(2)
    gates[0].touch()
    expect(queued).to_have_count(1)
    for gate in gates[1:]:
        gate.touch()
    expect(status(page)).to_have_text("completed")
    expect(queued).to_have_count(0)


def test_the_join_of_a_map_is_held_when_its_items_are_over_and_not_before(
    page: Page, installation: Installation, tmp_path: Path
) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    route = {"map": "= gates", "as": "gate", "to": "work", "join": "meet"}
    work = {"tool": "wait_for_file", "inputs": {"path": "= gate"}, "outputs": {}, "next": "meet"}
    nodes = {"begin": {"tool": "noop", "next": "fan"}, "fan": {"next": route}, "work": work, "meet": {"tool": "noop"}}
    graph = installation.create(nodes, state={"defaults": {"gates": [str(gate) for gate in gates]}})
    run = installation.start_held(graph, at="begin")
    page.goto(f"runs/{run}/")
    for shown in ("begin", "fan"):
        expect(node(page, shown)).to_have_attribute("data-status", "held")
        page.get_by_role("button", name="Step into").click()
    expect(node(page, "work")).to_have_attribute("data-status", "held")
    page.get_by_role("button", name="Step into").click()
    expect(node(page, "work")).to_have_attribute("data-status", "running")
    gates[0].touch()
    expect(node(page, "work")).to_contain_text("×2")
    expect(page.get_by_test_id("log")).to_contain_text("Completed node: work")
    expect(node(page, "meet")).to_have_attribute("data-status", "idle")
    gates[1].touch()
    expect(node(page, "meet")).to_have_attribute("data-status", "held")
    shows_the_same_when_loaded_again(page, nodes)


def test_a_run_that_waits_for_a_person_leads_to_the_task(page: Page, installation: Installation) -> None:
    graph = installation.create({"ask": {"human": {"title": "Ship it?", "due_s": 3_000_000}}})
    page.goto(f"runs/{installation.start(graph)}/")
    detail = node(page, "ask").locator(".node-detail")
    expect(detail).to_contain_text("answer until")
    assert detail.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    page.get_by_role("link", name="Open the task").click()
    expect(page.get_by_role("heading", name="Ship it?")).to_be_visible()


def test_what_a_node_calls_is_opened_and_left_again(page: Page, installation: Installation) -> None:
    read = {"tool": "sleep", "inputs": {"seconds": 1}, "next": "inner"}
    part = installation.create({"read": read, "inner": {"graph": "= made"}}, name="the-part")
    outer = installation.create({"call": {"graph": "the-part", "inputs": {"made": "= made"}}}, name="the whole")
    page.goto(f"graphs/{outer}/")
    expect(node(page, "call").get_by_role("link")).to_have_attribute("href", re.compile(part))

    inner = {"name": "inner", "start_node": "nap", "nodes": {"nap": {"wait": {"seconds": 3600}}}}
    page.goto(f"runs/{installation.start(outer, made=inner)}/")
    page.get_by_role("button", name="Open call").click()
    expect(node(page, "inner")).to_have_attribute("data-status", "waiting")
    page.get_by_role("button", name="Open inner").focus()
    page.keyboard.press("Enter")
    expect(node(page, "nap")).to_contain_text("until")
    trail = page.get_by_label("Subgraph")
    expect(trail.get_by_role("listitem")).to_have_text(["the whole", "call", "inner"])
    rows = page.get_by_test_id("timeline").get_by_role("button")
    expect(rows).to_have_text(["nap"])
    page.get_by_role("button", name="Back").click()
    expect(node(page, "read")).to_have_attribute("data-status", "completed")
    trail.get_by_role("button", name="the whole").click()
    expect(node(page, "call")).to_have_attribute("data-status", "waiting")
    expect(node(page, "call")).to_contain_text("1/3")
    expect(rows).to_have_text(["call", "read", "inner", "nap"])
    shows_the_same_when_loaded_again(page, ["call"])


def test_what_is_undone_is_shown_as_that(page: Page, installation: Installation, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    undo = {"tool": "wait_for_file", "inputs": {"path": str(gate)}}
    nodes = {"book": {"tool": "noop", "compensate": undo, "next": "pay"}, "pay": {"tool": "fail"}}
    page.goto(f"runs/{installation.start(installation.create(nodes), order=7)}/")
    expect(status(page)).to_have_text("undoing")
    expect(node(page, "book")).to_have_attribute("data-status", "undoing")
    gate.touch()
    expect(status(page)).to_have_text("failed")
    expect(node(page, "book")).to_have_attribute("data-status", "undone")
    shows_the_same_when_loaded_again(page, nodes)


def test_a_broken_connection_is_made_again_and_nothing_is_missing(
    page: Page, installation: Installation, tmp_path: Path
) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    addresses: list[str] = []

    def break_the_first(route: WebSocketRoute) -> None:
        addresses.append(route.url)
        server = route.connect_to_server()
        route.on_message(lambda acknowledgement: None)  # which might find the server's side closed already
        if len(addresses) == 1:

            def forward_once(message: str | bytes) -> None:
                route.send(message)
                route.close(code=1012)

            server.on_message(forward_once)

    page.route_web_socket(re.compile("/ws/graph/run/"), break_the_first)
    nodes = {f"n{i}": {"tool": "noop", "next": f"n{i + 1}"} for i in range(5)}
    for name, gate in zip(("n1", "n3"), gates, strict=True):
        nodes[name] |= {"tool": "wait_for_file", "inputs": {"path": str(gate)}, "outputs": {}}
    nodes["n5"] = {"tool": "noop"}
    run = installation.start(installation.create(nodes))
    page.goto(f"runs/{run}/")
    for connections, gate in enumerate(gates, 1):
        wait_until(page, lambda wanted=connections: len(addresses) == wanted)
        gate.touch()
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


LONG = {f"stage_{n}": {"tool": "noop", "next": f"stage_{n + 1}" if n < 39 else "end"} for n in range(40)}


def test_a_long_run_makes_no_long_page(page: Page, installation: Installation) -> None:
    """Nodes, timeline and log scroll in their panels; what only readers hear must not push the page out."""
    run = installation.start(installation.create(LONG))
    installation.finish(run)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"runs/{run}/")
    expect(page.get_by_test_id("timeline").locator("li")).to_have_count(40)
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_names_are_whole_on_a_phone_and_from_afar(page: Page, installation: Installation) -> None:
    names = ["begin", *(f"lookup_of_customer_{n}" for n in range(7))]
    nodes = {"begin": {"next": names[1:]}, **{name: {"tool": "noop"} for name in names[1:]}}
    run = installation.start(installation.create(nodes))
    installation.finish(run)
    page.goto(f"runs/{run}/")
    for name in names:
        expect(node(page, name)).to_contain_text(name)
    page.set_viewport_size(PHONE)
    page.goto(f"runs/{run}/")
    buttons = page.get_by_test_id("timeline").locator("button")
    expect(buttons).to_have_count(8)
    assert buttons.evaluate_all("(all) => all.every((each) => each.scrollWidth <= each.clientWidth)")


def test_no_table_is_cut_on_a_phone(page: Page, visit: Callable[[str], None], paths: list[str]) -> None:
    page.set_viewport_size(PHONE)
    for path in paths[:4]:
        visit(path)
        assert page.evaluate("[...document.querySelectorAll('.table-wrap')].every(e => e.scrollWidth <= e.clientWidth)")


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
    expect(page.get_by_role("region", name="State").locator("pre", has_text='"items"')).to_be_visible()
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
