"""How runs go: one by one when somebody deletes them, and by the retention of their graphs."""

from contextlib import closing
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from graphs import services as graphs
from graphs.models import GraphVersion
from runs import control, retention, services
from runs.driver import registration
from runs.errands import Errands
from runs.errors import RunNotFinished
from runs.models import Chore, Driver, Event, Mailbox, Run, Snapshot, Step, StepError, StreamChunk, Webhook
from runs.repeats import RequestKey
from runs.retention import finish_deletions, prune_due_runs, take_turn
from runs.services import NewWebhook, delete_run, start_run
from runs.store import deletion, open_store
from runs.store.mail import post
from runs.store.takeover import hand_back
from tests.support.runs import definition, driving, finish, start
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = "/api/v1/runs/"
BELONGINGS = (Event, Step, Snapshot, StepError, StreamChunk, Mailbox, Webhook)
RETENTION = {"days": 30}


@pytest.fixture
def version(actor) -> GraphVersion:
    return graphs.create_graph(definition=definition({"a": {}}), actor=actor)


def ended(version: GraphVersion, actor, *, days_ago: float = 0, status: str = "completed", **more: Any) -> Run:
    """A run that ended so many days ago, as far as its head says."""
    run = start_run(version=version, state={}, actor=actor, **more)
    at = timezone.now() - timedelta(days=days_ago)
    Run.objects.filter(pk=run.pk).update(status=status, wake_at=None, created_at=at, finished_at=at)
    run.refresh_from_db()
    return run


def furnish(run: Run, actor) -> None:
    """Give it a row in every table that it lacks one in."""
    post(run, kind="cancel", payload={"reason": ""}, actor=actor)
    Snapshot.objects.create(run=run, seq=1, state="{}")
    StreamChunk.objects.create(run=run, step=b"0123456789", number=0, text="x")
    StepError.objects.create(run=run, step=b"0123456789", attempt=1, at=timezone.now(), type="E", message="m")


# ------------------------------------------------------------------ one by one


def test_a_run_goes_with_all_that_belongs_to_it_and_leaves_the_others(version, actor):
    run, other = (ended(version, actor, webhook=NewWebhook(url="https://example.com/")) for _ in range(2))
    for each in (run, other):
        furnish(each, actor)
    kept = {model: model.objects.filter(run=other).count() for model in BELONGINGS}
    assert all(kept.values())
    delete_run(run=run, actor=actor)
    assert list(Run.objects.all()) == [other]
    assert {model: model.objects.count() for model in BELONGINGS} == kept
    entry = AuditEntry.objects.get(action="run.deleted")
    assert (entry.actor, entry.object_id) == (actor.name, str(run.uuid))
    assert entry.data == {"graph": str(version.graph.uuid), "version": 1, "status": "completed"}


@pytest.mark.parametrize("rows", [deletion.BATCH - 1, deletion.BATCH, deletion.BATCH + 1])
def test_a_run_of_many_rows_goes_a_batch_at_a_time(version, actor, rows):
    run = ended(version, actor)
    Event.objects.bulk_create(
        Event(run=run, seq=seq, type="LogWritten", at=timezone.now(), data="{}") for seq in range(2, rows + 1)
    )
    delete_run(run=run, actor=actor)
    assert not Event.objects.exists()
    assert not Run.objects.exists()


def test_who_deletes_a_long_run_does_not_wait_for_all_of_it(version, actor, monkeypatch):
    run = ended(version, actor)
    monkeypatch.setattr(deletion, "BATCH", 1)
    monkeypatch.setattr(services, "DELETION_PATIENCE_S", 0)
    delete_run(run=run, actor=actor)
    assert Run.objects.filter(pk=run.pk, deleted_at__isnull=False).exists()
    errands = Errands()
    errands.start()
    wait_until(lambda: not Run.objects.exists(), "a cluster has deleted the rest")
    errands.stop()


@pytest.mark.parametrize("status", ["pending", "running", "waiting", "paused"])
def test_a_run_that_is_not_over_is_not_deleted(version, actor, status):
    run = ended(version, actor, status=status)
    with pytest.raises(RunNotFinished, match=f"is still {status}; cancel it first"):
        delete_run(run=run, actor=actor)
    run.refresh_from_db()
    assert run.deleted_at is None
    assert not AuditEntry.objects.filter(action="run.deleted").exists()


# ------------------------------------------------------------------ failed runs that are tried again


@pytest.fixture
def retried(actor) -> Run:
    """A run that has failed, and that nobody has begun to try again although somebody has asked for it."""
    nodes = {"a": {"tool": "give", "inputs": {"value": {"y": "= 1 / x"}}}}
    with driving():
        run = finish(start(actor, nodes, {"x": 0}, retention={"keep_last": 1}))
    control.edit_state(run=run, actor=actor, values={"x": 1})
    control.retry_run(run=run, actor=actor)
    return run


def claim(run: Run) -> Driver:
    """A driver that has claimed the run and not written anything yet, so that its status is still "failed"."""
    driver = registration.register(quarantine=False)
    with closing(open_store()) as store:
        (claimed,) = store.claim(driver_id=driver.pk, limit=1, now=timezone.now(), quarantine=False)
    assert (claimed.id, claimed.status) == (run.pk, "failed")
    return driver


def test_a_failed_run_that_a_driver_has_taken_up_again_is_not_deleted(actor, retried, api_client):
    ended(retried.version, actor)  # newer, so that the retention lets the other one go
    driver = claim(retried)
    with pytest.raises(RunNotFinished, match="is still running; cancel it first"):
        delete_run(run=retried, actor=actor)
    assert api_client.delete(f"{RUNS}{retried.uuid}/").status_code == 409
    assert prune_due_runs(100) == 0
    assert not AuditEntry.objects.filter(action__in=("run.deleted", "graph.runs_pruned")).exists()
    hand_back(driver)
    with driving():
        wait_until(lambda: Run.objects.get(pk=retried.pk).status == "completed", "it is completed")
    assert_as_journaled(retried)


def test_a_failed_run_that_waits_to_be_tried_again_is_deleted_with_what_was_asked_of_it(actor, retried):
    delete_run(run=retried, actor=actor)
    with driving():
        finish(start(actor, {"a": {}}))
    assert not Run.objects.filter(pk=retried.pk).exists()
    assert not any(model.objects.filter(run_id=retried.pk).exists() for model in BELONGINGS)


def test_no_driver_takes_up_a_run_whose_rows_are_on_their_way_out(actor, retried):
    """Who asked for the retry had looked at the run before it was deleted."""
    Mailbox.objects.all().delete()
    assert deletion.hide(retried)
    control.retry_run(run=retried, actor=actor)
    with driving():
        finish(start(actor, {"a": {}}))
        assert Run.objects.get(pk=retried.pk).wake_at is None
    assert not Event.objects.filter(run=retried, type="RunReopened").exists()
    finish_deletions()
    assert not Run.objects.filter(pk=retried.pk).exists()


# ------------------------------------------------------------------ out of sight


def test_a_deleted_run_is_gone_for_everybody_before_its_rows_are(
    version, actor, api_client, client, owner, monkeypatch
):
    once = RequestKey.of("once", {})
    run = ended(version, actor, request_key=once)

    def die(run: Run, **_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(services, "delete_rows", die)
    with pytest.raises(SystemExit):
        delete_run(run=run, actor=actor)
    assert Event.objects.filter(run=run).exists()
    client.force_login(owner)
    assert api_client.get(f"{RUNS}{run.uuid}/").status_code == 404
    assert api_client.get(RUNS).json()["results"] == []
    assert client.get(f"/runs/{run.uuid}/").status_code == 404
    assert start_run(version=version, state={}, actor=actor, request_key=once).pk != run.pk
    finish_deletions()
    assert not Run.objects.filter(pk=run.pk).exists()


def test_two_that_delete_one_run_are_both_content(version, actor):
    run = ended(version, actor)
    same = Run.objects.get(pk=run.pk)
    delete_run(run=run, actor=actor)
    delete_run(run=same, actor=actor)
    assert AuditEntry.objects.filter(action="run.deleted").count() == 1


def test_what_was_forked_from_a_deleted_run_stays(version, actor):
    run = ended(version, actor)
    fork = ended(version, actor)
    Run.objects.filter(pk=fork.pk).update(forked_from=run)
    delete_run(run=run, actor=actor)
    fork.refresh_from_db()
    assert fork.forked_from is None


def test_over_rest_an_editor_deletes_what_is_over(version, actor, client_of, editor, operator):
    over, pending = ended(version, actor), start_run(version=version, state={}, actor=actor)
    assert client_of(operator).delete(f"{RUNS}{over.uuid}/").status_code == 403
    client = client_of(editor)
    assert client.delete(f"{RUNS}{over.uuid}/").status_code == 204
    assert client.delete(f"{RUNS}{over.uuid}/").status_code == 404
    answer = client.delete(f"{RUNS}{pending.uuid}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run-not-finished")


def test_in_the_admin_the_selected_runs_that_are_over_are_deleted(version, actor, client, owner):
    owner.is_staff = True
    owner.save()
    client.force_login(owner)
    over, pending = ended(version, actor), start_run(version=version, state={}, actor=actor)
    chosen = {"action": "delete_selected_runs", "_selected_action": [over.pk, pending.pk]}
    page = client.post("/admin/runs/run/", chosen, follow=True).content.decode()
    assert f"Run {over.uuid} is deleted." in page
    assert f"Run {pending.uuid} is still pending" in page
    assert list(Run.objects.all()) == [pending]


# ------------------------------------------------------------------ by retention


def keeping(actor, retention: dict[str, Any] | None) -> GraphVersion:
    return graphs.create_graph(definition=definition({"a": {}}, retention=retention), actor=actor)


@pytest.mark.parametrize(
    ("retention", "ages", "left"),
    [
        ({"days": 30}, [29.9, 30.1, 31], [29.9]),
        ({"keep_last": 2}, [0, 1, 2, 3], [0, 1]),
        ({"keep_last": 2}, [0, 1], [0, 1]),
        ({"keep_last": 2}, [0], [0]),
        ({"days": 30, "keep_last": 2}, [1, 31, 32], [1, 31]),
        ({"days": 30, "keep_last": 1}, [1, 2, 31], [1, 2]),
        (None, [10_000], [10_000]),
    ],
)
def test_runs_go_when_all_that_the_retention_says_lets_them(actor, retention, ages, left):
    version = keeping(actor, retention)
    runs = {age: ended(version, actor, days_ago=age) for age in ages}
    prune_due_runs(100)
    assert {age for age, run in runs.items() if Run.objects.filter(pk=run.pk).exists()} == set(left)


def test_only_runs_with_the_named_statuses_are_counted_and_go(actor):
    version = keeping(actor, {"keep_last": 1, "statuses": ["completed"]})
    failed = [ended(version, actor, days_ago=age, status="failed") for age in (1, 9)]
    completed = [ended(version, actor, days_ago=age) for age in (2, 3)]
    prune_due_runs(100)
    assert set(Run.objects.all()) == {*failed, completed[0]}


def test_runs_that_are_not_over_stay(actor):
    version = keeping(actor, {"keep_last": 1})
    running = [ended(version, actor, days_ago=99, status=status) for status in ("running", "waiting", "paused")]
    over = ended(version, actor)
    prune_due_runs(100)
    assert set(Run.objects.all()) == {*running, over}


def test_the_newest_version_says_it_for_the_runs_of_all(actor):
    first = keeping(actor, {"days": 1})
    run = ended(first, actor, days_ago=9)
    text = {**graphs.export_definition(first), "retention": {"days": 30}}
    second = graphs.publish_version(
        version=graphs.create_draft(graph=first.graph, definition=text, actor=actor), actor=actor
    )
    old = ended(second, actor, days_ago=31)
    prune_due_runs(100)
    assert set(Run.objects.all()) == {run}
    assert not Run.objects.filter(pk=old.pk).exists()


def test_a_graph_that_says_nothing_keeps_its_runs_as_long_as_the_installation_says(actor, settings):
    silent, outspoken = keeping(actor, None), keeping(actor, {"days": 90})
    runs = [ended(version, actor, days_ago=age) for version in (silent, outspoken) for age in (6.9, 7.1)]
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"retention_days": 7})
    prune_due_runs(100)
    assert set(Run.objects.all()) == {runs[0], runs[2], runs[3]}


def test_no_more_runs_go_at_once_than_allowed_the_oldest_first(actor):
    version = keeping(actor, RETENTION)
    runs = [ended(version, actor, days_ago=age) for age in (40, 42, 41)]
    assert prune_due_runs(2) == 2
    assert list(Run.objects.all()) == [runs[0]]
    assert (prune_due_runs(2), prune_due_runs(2)) == (1, 0)
    pruned = AuditEntry.objects.filter(action="graph.runs_pruned").order_by("pk")
    assert [(entry.actor, entry.data) for entry in pruned] == [("retention", {"runs": 2}), ("retention", {"runs": 1})]


def test_a_graph_whose_definition_cannot_be_read_keeps_its_runs(actor):
    version = keeping(actor, RETENTION)
    run = ended(version, actor, days_ago=99)
    GraphVersion.objects.update(definition="{}", sha256="another")
    assert prune_due_runs(100) == 0
    assert list(Run.objects.all()) == [run]


def test_one_process_prunes_once_an_hour():
    assert (take_turn(), take_turn()) == (True, False)
    Chore.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert (take_turn(), take_turn()) == (True, False)
    left = Chore.objects.get().next_at - timezone.now()
    assert retention.EVERY - timedelta(minutes=1) < left <= retention.EVERY


def prune(*arguments: str) -> str:
    out = StringIO()
    call_command("prune_runs", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prunes_all_or_one_graph_or_only_says_what_would_go(actor):
    one, other = keeping(actor, RETENTION), keeping(actor, RETENTION)
    for version in (one, other, other):
        ended(version, actor, days_ago=31)
    assert prune("--dry-run") == "".join(
        f"{version.graph.slug} ({version.graph.uuid}): {count}\n" for version, count in ((one, 1), (other, 2))
    )
    assert prune("--graph", other.graph.slug) == "Deleted 2 runs.\n"
    assert prune() == "Deleted 1 run.\n"
    assert prune("--dry-run") == "No run would be deleted.\n"


def test_the_command_wants_the_one_graph_that_is_meant(actor, stranger_actor):
    with pytest.raises(CommandError, match="There is no graph"):
        prune("--graph", str(uuid4()))
    for each in (actor, stranger_actor):
        graphs.create_graph(definition={**definition({"a": {}}), "name": "Twin"}, actor=each)
    with pytest.raises(CommandError, match="Several organizations have a graph"):
        prune("--graph", "twin")
