"""A run that cannot be driven ends, says why, and can be looked at everywhere."""

import json

import pytest
from django.test import Client

from graphs import services as graphs
from graphs.models import GraphVersion
from runs import selectors
from runs.errors import JournalDamaged
from runs.forking import fork_run
from runs.models import Event, Run
from tests.support.play import Play
from tests.support.runs import definition, driving, finish, start

pytestmark = pytest.mark.django_db(transaction=True)

NODES = {"a": {"tool": "increment", "next": "b"}, "b": {"tool": "increment"}}


def damage_first_entry(run: Run) -> None:
    Event.objects.filter(run=run, seq=1).update(type="Unheard")


def damage_second_entry(run: Run) -> None:
    Event.objects.filter(run=run, seq=2).update(data="{}")


def garble_second_entry(run: Run) -> None:
    Event.objects.filter(run=run, seq=2).update(data="{")


def send_elsewhere(run: Run) -> None:
    """The second entry leads to a node that the graph does not have."""
    event = Event.objects.get(run=run, seq=2)
    Event.objects.filter(pk=event.pk).update(data=json.dumps({**json.loads(event.data), "route": ["nowhere"]}))


def break_definition(run: Run) -> None:
    GraphVersion.objects.filter(pk=run.version_id).update(definition='{"nodes": 1}', sha256="broken")


@pytest.fixture(
    params=[
        (damage_first_entry, 0),
        (damage_second_entry, 1),
        (garble_second_entry, 1),
        (send_elsewhere, 1),
        (break_definition, 0),
    ],
    ids=["first entry", "second entry", "no JSON", "another plan", "definition"],
)
def parked(request: pytest.FixtureRequest, actor) -> tuple[Run, int]:
    """A parked run, and how far its journal can be read."""
    damage, readable = request.param
    run = start(actor, NODES, {"n": 5})
    Play(run).complete("a", n=6)
    damage(run)
    with driving():
        finish(run)
    return Run.objects.get(pk=run.pk), readable


def test_a_parked_run_has_failed_and_says_why(parked):
    run, _ = parked
    parking = Event.objects.get(run=run, seq=run.seq)
    assert (run.status, parking.type, run.driver, run.wake_at) == ("failed", "RunParked", None, None)
    assert run.finished_at is not None
    assert run.error == json.loads(parking.data)["reason"] != ""


def test_a_parked_run_shows_the_state_as_far_as_it_can_be_read(parked):
    run, readable = parked
    state = selectors.current_state(run)
    assert (state.seq, state.values) == (readable, {"n": 5})


@pytest.mark.parametrize("path", ["/api/v1/runs/{}/", "/api/v1/runs/{}/state/", "/graph/state/{}"])
def test_a_parked_run_can_be_read_over_rest(parked, api_client, path):
    assert api_client.get(path.format(parked[0].uuid)).status_code == 200


def test_the_journal_of_a_parked_run_ends_with_the_reason(parked, api_client):
    run, _ = parked
    answer = api_client.get(f"/api/v1/runs/{run.uuid}/events/")
    assert answer.json()["results"][-1]["message"] == f"Run parked: {run.error}"


def test_the_pages_of_a_parked_run_show_the_reason(parked, owner):
    run, _ = parked
    owner.is_staff = owner.is_superuser = True
    owner.save()
    browser = Client()
    browser.force_login(owner)
    for path in (f"/runs/{run.uuid}/", f"/admin/runs/run/{run.pk}/change/"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "Run parked" in page.content.decode()


def test_the_breakpoints_of_a_run_that_cannot_be_driven_are_refused_with_a_sentence(parked, api_client):
    run, _ = parked
    answer = api_client.get(f"/api/v1/runs/{run.uuid}/breakpoints/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run-damaged")
    assert "cannot be driven any more" in answer.json()["error"]["message"]


@pytest.fixture
def browser(owner, client: Client) -> Client:
    """The owner's, who is shown what breaks as an answer with 500."""
    client.force_login(owner)
    client.raise_request_exception = False
    return client


def lose_second_entry(run: Run) -> None:
    Event.objects.filter(run=run, seq=2).delete()


def test_a_parked_run_is_forked_where_it_can_be_read_and_nowhere_else(parked, api_client, browser):
    run, readable = parked
    for seq in range(1, run.seq + 1):
        answer = api_client.post(f"/api/v1/runs/{run.uuid}/fork/", {"seq": seq})
        page = browser.post(f"/runs/{run.uuid}/fork/", {"seq": seq}, follow=True)
        assert page.status_code == 200
        if seq <= readable:
            assert answer.status_code == 201
            assert "Forked from" in page.content.decode()
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run-damaged")
            assert "cannot be driven any more" in page.content.decode()
    assert Run.objects.filter(forked_from=run).count() == 2 * readable


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (damage_second_entry, "run-damaged"),
        (lose_second_entry, "fork-refused"),
        (break_definition, "run-damaged"),
    ],
)
def test_a_damaged_run_that_nobody_has_parked_yet_is_not_forked_either(actor, api_client, browser, damage, code):
    run = start(actor, NODES, {"n": 5})
    Play(run).complete("a", n=6)
    damage(run)
    answer = api_client.post(f"/api/v1/runs/{run.uuid}/fork/", {"seq": 2})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    page = browser.post(f"/runs/{run.uuid}/fork/", {"seq": 2})
    assert (page.status_code, page.get("Location")) == (302, f"/runs/{run.uuid}/")
    assert Run.objects.count() == 1


def test_a_parked_run_is_neither_migrated_nor_patched(parked, actor, api_client):
    run, _ = parked
    nodes = {"a": {"tool": "increment"}}
    draft = graphs.create_draft(graph=run.version.graph, definition=definition(nodes), actor=actor)
    version = graphs.publish_version(version=draft, actor=actor)
    migrations = [{"version": str(version.uuid), "dry_run": dry_run} for dry_run in (False, True)]
    answers = [api_client.post(f"/api/v1/runs/{run.uuid}/migrate/", body) for body in migrations]
    assert [(one.status_code, one.json()["error"]["code"]) for one in answers] == [(409, "run-damaged")] * 2
    patch = api_client.post(f"/api/v1/runs/{run.uuid}/patch/", {"changes": {"nodes": {"b": {"tool": "noop"}}}})
    assert patch.status_code in (409, 422)
    assert run.version.graph.versions.count() == 2


def test_the_fork_of_a_run_that_is_damaged_later_needs_nothing_of_it(actor, api_client, browser):
    run = start(actor, NODES, {"n": 5})
    Play(run).complete("a", n=6)
    fork = fork_run(run=run, at_seq=2, actor=actor)
    damage_first_entry(run)
    with driving():
        assert (finish(run).status, finish(fork).status) == ("failed", "completed")
    for path in (f"/runs/{fork.uuid}/", f"/api/v1/runs/{fork.uuid}/", f"/api/v1/runs/{fork.uuid}/state/"):
        assert browser.get(path).status_code == 200
    assert api_client.get(f"/api/v1/runs/{fork.uuid}/state/").json()["values"] == {"n": 7}


def test_a_parked_run_that_can_be_read_again_shows_its_whole_state(actor):
    run = start(actor, NODES, {"n": 5})
    Play(run).complete("a", n=6)
    definition = run.version.definition
    sha256 = run.version.sha256
    break_definition(run)
    with driving():
        finish(run)
    GraphVersion.objects.filter(pk=run.version_id).update(definition=definition, sha256=sha256)
    run = Run.objects.get(pk=run.pk)
    state = selectors.current_state(run)
    assert (state.seq, state.values) == (run.seq, {"n": 6})


def test_damage_that_nobody_has_parked_yet_is_not_hidden(actor):
    run = start(actor, NODES, {"n": 5})
    damage_first_entry(run)
    with pytest.raises(JournalDamaged):
        selectors.current_state(run)
