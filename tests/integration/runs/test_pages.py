"""The pages of runs."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.services import compile_definition, create_draft, create_graph, publish_version
from runs import pages
from runs.curl import MAX_INPUT_CHARACTERS, curl_command
from runs.engine.events import ChildStarted, RunMigrated, RunPaused
from runs.models import Driver, Mailbox, Run, Step
from runs.services import start_run
from tests.support.play import Play
from tests.support.runs import start

pytestmark = pytest.mark.django_db

GRAPH: dict[str, Any] = {
    "name": "greet",
    "start_node": "hello",
    "nodes": {"hello": {"tool": "noop", "next": "bye"}, "bye": {"tool": "noop"}},
    "state": {
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 2}, "times": {"type": "integer"}},
            "required": ["name"],
        },
        "defaults": {"times": 1},
    },
}


@pytest.fixture
def version(actor: Actor) -> GraphVersion:
    return create_graph(definition=GRAPH, actor=actor)


@pytest.fixture
def run(version: GraphVersion, actor: Actor) -> Run:
    return start_run(version=version, state={"name": "Ada"}, actor=actor)


@pytest.fixture
def browser(owner: User) -> Client:
    return signed_in(owner)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def boot_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="boot" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def shown_runs(html: str) -> set[str]:
    return set(re.findall(r"/runs/([0-9a-f-]{36})/", html))


# --------------------------------------------------------------------------- one run


def test_steps_that_nothing_has_called_yet_are_told(browser: Client, actor: Actor) -> None:
    run = start(actor, {"s": {"next": ["a", "b", "c"]}, "a": {}, "b": {}, "c": {}}, limits={"max_parallel": 2})
    Play(run).complete("s")
    a, _, c = (row.key for row in Step.objects.filter(run=run).exclude(node="s").order_by("pk"))
    url = f"/runs/{run.uuid}/queued/"
    assert browser.get(url).json() == {"steps": [c]}
    assert boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())["queued"] == [c]
    now = timezone.now()
    where = {"host": "h", "boot_id": "b", "pid_namespace": "n", "pid": 1, "process_started": "s"}
    driver = Driver.objects.create(**where, started_at=now, beat_at=now, not_called={str(run.pk): {"executor": [a]}})
    Run.objects.filter(pk=run.pk).update(driver=driver)
    assert browser.get(url).json() == {"steps": [a, c]}
    Play(run).complete("b")
    assert browser.get(url).json() == {"steps": [a]}


def test_a_run_is_readable_without_any_script(browser: Client, run: Run) -> None:
    Play(run).complete("hello", name="Grace")
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    for words in ("greet", "running", "hello</b>", "Completed node: hello", "Grace"):
        assert words in text


def test_the_script_starts_from_the_same_moment(browser: Client, run: Run) -> None:
    Play(run).complete("hello")
    run.refresh_from_db()
    boot = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())
    assert boot["run"]["id"] == str(run.uuid)
    assert boot["seq"] == boot["state"]["seq"] == run.seq
    assert boot["definition"]["start_node"] == "hello"
    assert boot["urls"]["socket"] == f"/ws/graph/run/{run.uuid}"
    assert {each["address"]: each["status"] for each in boot["nodes"]} == {"hello": "completed", "bye": "running"}


def test_what_tools_return_cannot_end_the_page_s_data_early(browser: Client, run: Run) -> None:
    hostile = "</script><script>alert(1)</script>"
    Play(run).complete("hello", name=hostile)
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert "<script>alert" not in html
    assert boot_of(html)["state"]["values"]["name"] == hostile


def test_the_addresses_that_the_script_uses_exist(browser: Client, run: Run) -> None:
    urls = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())["urls"]
    assert browser.get(urls["graph"]).status_code == 200
    assert browser.get(urls["run"]).json()["status"] == "pending"
    assert browser.get(urls["state"]).json().keys() == {"seq", "values", "conflicts"}
    assert browser.get(urls["items"]).json() == {"maps": []}


def test_what_a_node_calls_can_be_drawn(browser: Client, version: GraphVersion, actor: Actor) -> None:
    nodes = {"call": {"graph": version.graph.slug}}
    caller = create_graph(definition={"name": "caller", "start_node": "call", "nodes": nodes}, actor=actor)
    run = start_run(version=caller, state={}, actor=actor)
    of_the_run = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())["urls"]["subgraphs"]
    assert browser.get(f"{of_the_run}{version.sha256}/").status_code == 404
    Play(run).happen(ChildStarted, "call", graph=f"{version.graph.slug}@1", digest=version.sha256, state={})
    answer = browser.get(f"{of_the_run}{version.sha256}/").json()
    assert answer["definition"]["nodes"].keys() == {"hello", "bye"}
    assert browser.get(answer["page"]).status_code == 200


def test_the_version_that_a_run_was_moved_to_can_be_drawn(
    browser: Client, version: GraphVersion, run: Run, actor: Actor
) -> None:
    definition = {**GRAPH, "nodes": {**GRAPH["nodes"], "new": {}}}
    moved = publish_version(version=create_draft(graph=version.graph, definition=definition, actor=actor), actor=actor)
    address = f"/runs/{run.uuid}/subgraphs/{moved.sha256}/"
    assert browser.get(address).status_code == 404
    Play(run).tell(RunMigrated(version="greet@2", digest=moved.sha256))
    answer = browser.get(address).json()
    assert answer["definition"]["nodes"].keys() == {"hello", "bye", "new"}


def test_a_computed_graph_can_be_drawn_too_and_has_no_page(browser: Client, actor: Actor) -> None:
    nodes = {"call": {"graph": "= made"}}
    caller = create_graph(definition={"name": "caller", "start_node": "call", "nodes": nodes}, actor=actor)
    run = start_run(version=caller, state={}, actor=actor)
    made, digest, _ = compile_definition(GRAPH)
    Play(run).happen(ChildStarted, "call", graph="", digest=digest, state={}, definition=made)
    answer = browser.get(f"/runs/{run.uuid}/subgraphs/{digest}/").json()
    assert answer == {"definition": made, "page": None}


# --------------------------------------------------------------------------- starting again


def test_a_run_is_started_again_from_its_page(browser: Client, run: Run) -> None:
    answer = browser.post(f"/runs/{run.uuid}/again/")
    again = Run.objects.exclude(pk=run.pk).get()
    assert answer["Location"] == f"/runs/{again.uuid}/"
    assert (again.input, again.version, again.trigger) == (run.input, run.version, "rerun")


def test_the_page_has_the_command_that_starts_the_same_run(browser: Client, run: Run) -> None:
    boot = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())
    assert boot["again"]["url"] == f"/runs/{run.uuid}/again/"
    words = shlex.split(boot["curl"])
    assert words[:4] == ["curl", "-X", "POST", "http://testserver/api/v1/runs/"]
    body = json.loads(words[words.index("-d") + 1])
    assert body == {"version": str(run.version.uuid), "initial_state": {"name": "Ada"}, "durability": "sync"}
    again = browser.post("/api/v1/runs/", body, content_type="application/json")
    assert again.status_code == 201


def test_the_command_is_proof_against_quotes_and_has_the_options(version: GraphVersion, actor: Actor) -> None:
    state = {"name": 'O\'Hara $(id) `id` \\ "x" \n'}
    options: dict[str, Any] = {"business_key": "a'b", "labels": {"team": "x"}, "priority": 3, "durability": "exit"}
    run = start_run(version=version, state=state, actor=actor, **options)
    words = shlex.split(curl_command(run, url="http://x/") or "")
    assert json.loads(words[-1]) == {"version": str(version.uuid), "initial_state": state, **options}


def test_the_command_has_no_secret(actor: Actor) -> None:
    secret = {"type": "string", "writeOnly": True}
    schema = {
        "type": "object",
        "properties": {
            "token": secret,
            "user": {"type": "object", "properties": {"password": secret, "name": {"type": "string"}}},
            "keys": {"type": "array", "items": secret},
        },
    }
    version = create_graph(definition={**GRAPH, "state": {"schema": schema}}, actor=actor)
    state = {"token": "hush1", "user": {"password": "hush2", "name": "Ada"}, "keys": ["hush3"], "n": 1}
    command = curl_command(start_run(version=version, state=state, actor=actor), url="http://x/") or ""
    assert "hush" not in command
    assert json.loads(shlex.split(command)[-1])["initial_state"] == {"user": {"name": "Ada"}, "keys": [], "n": 1}


@pytest.mark.parametrize(("more", "has_one"), [(0, True), (1, False)])
def test_a_state_too_large_for_a_shell_makes_no_command(
    version: GraphVersion, actor: Actor, more: int, has_one: bool
) -> None:
    name = "x" * (MAX_INPUT_CHARACTERS - len('{"name":""}') + more)
    run = start_run(version=version, state={"name": name}, actor=actor)
    assert (curl_command(run, url="http://x/") is not None) is has_one


def test_a_viewer_cannot_start_a_run_again(viewer: User, run: Run) -> None:
    client = signed_in(viewer)
    assert boot_of(client.get(f"/runs/{run.uuid}/").content.decode())["again"] is None
    assert client.post(f"/runs/{run.uuid}/again/").status_code == 403
    assert Run.objects.count() == 1


# --------------------------------------------------------------------------- cancelling


def test_an_operator_can_ask_for_the_end_of_a_run(operator: User, run: Run) -> None:
    answer = signed_in(operator).post(f"/runs/{run.uuid}/cancel/", {"reason": "enough"})
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.uuid}/")
    mail = Mailbox.objects.get(run=run)
    assert (mail.kind, json.loads(mail.payload)) == ("cancel", {"reason": "enough", "graceful": False})


def test_a_run_that_is_over_says_so_when_it_is_cancelled(browser: Client, run: Run) -> None:
    play = Play(run)
    play.complete("hello")
    play.complete("bye")
    answer = browser.post(f"/runs/{run.uuid}/cancel/", follow=True)
    assert "is already completed" in answer.content.decode()
    assert not Mailbox.objects.exists()


@pytest.mark.parametrize("is_over", [True, False])
def test_the_button_is_there_only_while_it_can_help(browser: Client, run: Run, is_over: bool) -> None:
    play = Play(run)
    play.complete("hello")
    if is_over:
        play.complete("bye")
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert ("Cancel this run" in html) is not is_over
    assert (f'action="/runs/{run.uuid}/pause/"' in html) is not is_over


def test_each_button_is_a_form_that_works_without_a_script(operator: User, run: Run) -> None:
    client = signed_in(operator)
    assert client.post(f"/runs/{run.uuid}/pause/").status_code == 302
    assert Mailbox.objects.get(run=run).kind == "pause"
    assert "is paused already (operator paused it at" in client.post(
        f"/runs/{run.uuid}/pause/", follow=True
    ).content.decode().replace("&#x27;", "'")
    assert client.get(f"/runs/{run.uuid}/pause/").status_code == 405
    Run.objects.filter(pk=run.pk).update(status="paused")
    html = client.get(f"/runs/{run.uuid}/").content.decode()
    assert f'action="/runs/{run.uuid}/resume/"' in html
    assert f'action="/runs/{run.uuid}/step/"' in html
    Run.objects.filter(pk=run.pk).update(status="failed")
    assert f'action="/runs/{run.uuid}/retry/"' in client.get(f"/runs/{run.uuid}/").content.decode()


def test_the_page_says_why_the_run_does_not_move(browser: Client, run: Run) -> None:
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert "no worker is alive" in html
    assert [reason["because"] for reason in boot_of(html)["reasons"]] == ["no-worker", "running"]
    assert browser.get(boot_of(html)["urls"]["explain"]).status_code == 200


def playing(nodes: dict[str, Any], actor: Actor) -> Play:
    definition = {"name": "played", "start_node": next(iter(nodes)), "nodes": nodes}
    return Play(start_run(version=create_graph(definition=definition, actor=actor), state={}, actor=actor))


def test_a_run_that_was_undone_has_no_button_to_try_it_again(browser: Client, actor: Actor) -> None:
    play = playing({"book": {"tool": "noop", "compensate": "noop", "next": "pay"}, "pay": {"tool": "noop"}}, actor)
    play.complete("book")
    play.fail("pay", "declined")
    play.complete("book")
    assert play.run.status == Run.Status.FAILED
    html = browser.get(f"/runs/{play.run.uuid}/").content.decode()
    assert f'action="/runs/{play.run.uuid}/retry/"' not in html


@pytest.mark.parametrize(("failing", "told"), [("a", 0), ("ab", 2)])
def test_several_failures_are_told_one_by_one(browser: Client, actor: Actor, failing: str, told: int) -> None:
    play = playing({"s": {"next": ["a", "b"]}, "a": {"tool": "noop"}, "b": {"tool": "noop"}}, actor)
    play.complete("s")
    for node in "ab":
        if node in failing:
            play.fail(node, "no")
        else:
            play.complete(node)
    Run.objects.filter(pk=play.run.pk).update(wake_at=None)  # as drivers leave it
    html = browser.get(f"/runs/{play.run.uuid}/").content.decode()
    assert html.count('<li data-because="failed">') == told


def test_a_viewer_can_look_but_neither_cancel_nor_start(viewer: User, run: Run) -> None:
    client = signed_in(viewer)
    html = client.get(f"/runs/{run.uuid}/").content.decode()
    assert boot_of(html)["control"] is None
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 403
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 403


def test_a_form_of_another_site_is_refused(owner: User, run: Run) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 403
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 403


# --------------------------------------------------------------------------- starting


def test_the_form_starts_a_run_and_leads_to_its_page(operator: User, version: GraphVersion) -> None:
    typed = {"state-name": "Ada", "state-times": "3", "state-:rest": '{"mood": "good"}'}
    answer = signed_in(operator).post(f"/graphs/{version.graph.uuid}/start/", typed)
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.uuid}/"
    assert json.loads(run.input) == {"name": "Ada", "times": 3, "mood": "good"}
    assert (run.trigger, run.actor, run.created_by) == ("page", "operator", operator)


def test_what_the_schema_refuses_is_shown_at_its_field_and_nothing_starts(
    browser: Client, version: GraphVersion
) -> None:
    answer = browser.post(f"/graphs/{version.graph.uuid}/start/", {"state-name": "A", "state-times": "3"})
    assert answer.status_code == 422
    assert "too short" in answer.context["form"].errors["name"][0]
    assert answer.context["form"]["times"].value() == "3"
    assert not Run.objects.exists()


def test_a_graph_without_a_published_version_does_not_start(browser: Client, actor: Actor) -> None:
    draft = create_draft(definition=GRAPH, actor=actor)
    assert browser.post(f"/graphs/{draft.graph.uuid}/start/", {"state-name": "Ada"}).status_code == 404


# --------------------------------------------------------------------------- the list


def test_runs_can_be_narrowed_to_a_status_and_a_graph(browser: Client, actor: Actor, run: Run) -> None:
    other = start_run(version=create_graph(definition=GRAPH, actor=actor), state={"name": "Ada"}, actor=actor)
    Play(other).complete("hello")
    for query, expected in [
        ("", {run, other}),
        ("?status=pending", {run}),
        ("?status=running", {other}),
        (f"?graph={other.version.graph.slug}", {other}),
        (f"?status=pending&graph={other.version.graph.slug}", set()),
        ("?before=nonsense", {run, other}),
    ]:
        html = browser.get(f"/runs/{query}").content.decode()
        assert shown_runs(html) == {str(each.uuid) for each in expected}, query


def test_older_runs_are_a_link_away(
    browser: Client, actor: Actor, version: GraphVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_SIZE", 2)
    runs = [start_run(version=version, state={"name": "Ada"}, actor=actor) for _ in range(5)]
    seen, url = [], "/runs/?status=pending"
    while url:
        html = browser.get(url).content.decode()
        seen.append(shown_runs(html))
        older = re.search(r'<a href="(\?[^"]+)" rel="next">', html)
        url = f"/runs/{older[1].replace('&amp;', '&')}" if older else ""
    names = [str(each.uuid) for each in reversed(runs)]
    assert seen == [set(names[:2]), set(names[2:4]), set(names[4:])]


# --------------------------------------------------------------------------- who may see what


def test_a_stranger_finds_nothing(stranger: User, run: Run) -> None:
    client = signed_in(stranger)
    assert shown_runs(client.get("/runs/").content.decode()) == set()
    assert client.get(f"/runs/{run.uuid}/").status_code == 404
    assert client.get(f"/runs/{run.uuid}/subgraphs/{run.version.sha256}/").status_code == 404
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 404
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 404
    assert client.get(f"/runs/?before={run.uuid}").status_code == 200


def test_nobody_is_sent_to_the_login_page(run: Run) -> None:
    for path in ("/", "/graphs/", "/runs/", f"/runs/{run.uuid}/", f"/graphs/{run.version.graph.uuid}/"):
        assert Client().get(path)["Location"] == f"/login/?next={path}"


# --------------------------------------------------------------------------- forking


def test_an_operator_can_fork_a_run_at_an_event(operator: User, run: Run) -> None:
    Play(run).complete("hello")
    client = signed_in(operator)
    boot = boot_of(client.get(f"/runs/{run.uuid}/").content.decode())
    assert boot["fork"]["url"] == f"/runs/{run.uuid}/fork/"
    answer = client.post(boot["fork"]["url"], {"seq": 2})
    fork = Run.objects.get(forked_from=run)
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{fork.uuid}/")
    html = client.get(f"/runs/{fork.uuid}/").content.decode()
    assert boot_of(html)["run"]["forked_from"] == {"url": f"/runs/{run.uuid}/", "id": str(run.uuid), "seq": 2}
    assert "Forked from" in html


def test_the_page_says_why_a_run_cannot_be_forked(browser: Client, run: Run) -> None:
    play = Play(run)
    play.complete("hello")
    play.complete("bye")
    answer = browser.post(f"/runs/{run.uuid}/fork/", {"seq": play.run.seq}, follow=True)
    assert "the run was completed" in answer.content.decode()


@pytest.mark.parametrize("seq", ["0", "99", "x", "", "1" * 20, "²"])
def test_a_fork_needs_an_event_of_the_run(browser: Client, run: Run, seq: str) -> None:
    assert browser.post(f"/runs/{run.uuid}/fork/", {"seq": seq}).status_code == 404


def test_a_viewer_cannot_fork(viewer: User, run: Run) -> None:
    client = signed_in(viewer)
    assert boot_of(client.get(f"/runs/{run.uuid}/").content.decode())["fork"] is None
    assert client.post(f"/runs/{run.uuid}/fork/", {"seq": 1}).status_code == 403


def test_the_start_form_says_what_is_required_and_a_get_of_its_address_leads_to_it(
    browser: Client, actor: Actor
) -> None:
    nodes = {"extract": {"tool": "extract_functions"}}
    graph = create_graph(definition={"name": "read", "start_node": "extract", "nodes": nodes}, actor=actor).graph
    html = browser.get(f"/graphs/{graph.uuid}/").content.decode()
    assert "<small>string, required, read by extract</small>" in html
    answer = browser.post(f"/graphs/{graph.uuid}/start/", {"state-code": ""})
    assert (answer.status_code, Run.objects.count()) == (422, 0)
    answer = browser.get(f"/graphs/{graph.uuid}/start/")
    assert (answer.status_code, answer["Location"]) == (302, f"/graphs/{graph.uuid}/")


def test_a_status_that_does_not_exist_has_no_runs_and_is_named(browser: Client, run: Run) -> None:
    html = browser.get("/runs/?status=foo").content.decode()
    assert shown_runs(html) == set()
    assert "There is no status “foo”." in html


def test_the_business_key_and_the_labels_of_a_run_are_shown(
    browser: Client, version: GraphVersion, actor: Actor
) -> None:
    labels = {"customer": "acme", "tier": "gold"}
    run = start_run(version=version, state={"name": "Ada"}, actor=actor, business_key="order-7", labels=labels)
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert "<dt>Business key</dt><dd>order-7</dd>" in html
    assert "<dd>customer=acme, tier=gold</dd>" in html
    shown = boot_of(html)["run"]
    assert (shown["business_key"], shown["labels"]) == ("order-7", labels)


@pytest.mark.parametrize("debug", [False, True])
def test_a_run_that_is_not_there_has_our_own_page(browser: Client, run: Run, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    answer = browser.get("/runs/00000000-0000-4000-8000-000000000000/")
    assert answer.status_code == 404
    assert "There is no such page, or it belongs to another organization." in answer.content.decode()


@pytest.mark.parametrize(("sent", "mode"), [("over", "over"), ("out", "out"), ("sideways", "into")])
def test_a_paused_run_is_stepped_as_the_button_says(browser: Client, run: Run, sent: str, mode: str) -> None:
    step = Step.objects.get(run=run)
    Play(run).tell(RunPaused(held=(bytes(step.step),)))
    Run.objects.filter(pk=run.pk).update(status="paused")
    browser.post(f"/runs/{run.uuid}/step/", {"mode": sent})
    assert json.loads(Mailbox.objects.get(kind="step").payload)["mode"] == mode
