"""Migrations in a real driver."""

import json
import threading

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry
from graphs import services as graphs
from graphs.errors import DefinitionInvalid
from graphs.models import GraphVersion
from runs.errors import MigrationRefused
from runs.forking import fork_run
from runs.log import render
from runs.migrating import merge_patch, migrate_run, patch_run, plan_migration
from runs.models import Event, Run, Step, StepError
from runs.redaction import REDACTED, redaction_of
from runs.repeats import RequestKey
from runs.selectors import current_state, state_at
from runs.signals import signal_run
from runs.store.mail import post
from runs.verification import verify_run
from tests.support.runs import definition, driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until
from tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

#   a ── w ── c, w waiting for an hour
NODES = {
    "a": {"tool": "increment", "inputs": {"n": "= n"}, "next": "w"},
    "w": {"wait": {"seconds": 3600}, "outputs": {}, "next": "c"},
    "c": {"tool": "increment", "inputs": {"n": "= n"}},
}


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def new_version(run: Run, actor, nodes, **more) -> GraphVersion:
    draft = graphs.create_draft(graph=run.version.graph, definition=definition(nodes, **more), actor=actor)
    return graphs.publish_version(version=draft, actor=actor)


def has_come(run: Run, type_: str) -> bool:
    return Event.objects.filter(run=run, type=type_).exists()


@pytest.fixture
def waiting(actor) -> Run:
    with driving():
        run = start(actor, NODES, {"n": 0})
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it waits")
    run.refresh_from_db()
    return run


def test_a_run_that_waits_goes_on_in_another_version(actor, waiting):
    first = waiting.version
    nodes = {
        "a": NODES["a"],
        "pause": {**NODES["w"], "next": "more"},
        "more": {**NODES["c"], "next": "c"},
        "c": NODES["c"],
    }
    nodes["a"] = {**nodes["a"], "next": "pause"}
    version = new_version(waiting, actor, nodes)
    plan = plan_migration(run=waiting, version=version, mapping={"w": "pause"})
    assert [(move.node, move.to, move.status) for move in plan.moves] == [("w", "pause", "running")]
    assert plan.obstacles == ()
    migrate_run(run=waiting, version=version, actor=actor, mapping={"w": "pause"})
    with driving():
        wait_until(lambda: has_come(waiting, "RunMigrated"), "it is migrated")
        wait_until(lambda: Run.objects.get(pk=waiting.pk).status == "waiting", "it waits again")
        waiting.refresh_from_db()
        assert (waiting.version, waiting.begun_with) == (version, first)
        assert list(Step.objects.filter(run=waiting).values_list("node", "status")) == [
            ("a", "completed"),
            ("pause", "waiting"),
        ]
        entry = Event.objects.get(run=waiting, type="StepWaiting")
        data = json.loads(entry.data)
        data["wait"]["entries"][0]["at"] = timezone.now().isoformat()
        Event.objects.filter(pk=entry.pk).update(data=json.dumps(data))
        Run.objects.filter(pk=waiting.pk).update(wake_at=timezone.now())
        assert finish(waiting).status == "completed"
    assert verify_run(waiting).differences == []
    assert current_state(waiting).values == {"n": 3}
    assert [state_at(waiting, seq).values["n"] for seq in range(1, waiting.seq + 1)] == [0, 1, 1, 1, 1, 1, 2, 3, 3]
    assert types(waiting)[3:5] == ["RunMigrated", "StepMoved"]
    log = AuditEntry.objects.get(action="run.migrated")
    assert (log.object_id, log.data) == (str(waiting.uuid), {"version": f"{version.graph.slug}@2"})


def test_a_version_without_a_place_for_a_branch_is_refused_and_nothing_changes(actor, waiting):
    version = new_version(waiting, actor, {"a": {**NODES["a"], "next": "c"}, "c": NODES["c"]})
    with pytest.raises(MigrationRefused, match='"w": The new version has no such node') as refused:
        migrate_run(run=waiting, version=version, actor=actor)
    assert [(one.code, one.path) for one in refused.value.details] == [("node-missing", "/nodes/w")]
    assert not waiting.mailbox.exists()
    assert not AuditEntry.objects.filter(action="run.migrated").exists()


def test_what_comes_into_the_way_meanwhile_is_refused_in_the_journal(actor, waiting):
    version = new_version(waiting, actor, {"a": {**NODES["a"], "next": "c"}, "c": NODES["c"]})
    payload = {"version": "g@2", "version_id": version.pk, "digest": version.sha256, "mapping": {}}
    post(waiting, kind="migrate", payload=payload, actor=actor)
    post(waiting, kind="migrate", payload={**payload, "digest": "0" * 64}, actor=actor)
    post(waiting, kind="migrate", payload={}, actor=actor)
    with driving():
        wait_until(lambda: Event.objects.filter(run=waiting, type="MailRefused").count() == 3, "all are refused")
        wait_until(lambda: Run.objects.get(pk=waiting.pk).status == "waiting", "it waits on")
    reasons = [json.loads(e.data)["reason"] for e in Event.objects.filter(run=waiting, type="MailRefused")]
    assert sorted(reason[:20] for reason in reasons) == [
        '"w": The new version',
        "The payload is not t",
        "The version g@2 cann",
    ]
    waiting.refresh_from_db()
    assert waiting.begun_with is None


def test_a_run_under_way_is_migrated_when_its_tools_have_ended(actor):
    entered, opened = gate("migrating")
    nodes = {"a": {"tool": "wait_for", "inputs": {"name": "migrating"}, "next": "b"}, "b": {}}
    with driving():
        run = start(actor, nodes)
        wait_until(entered.is_set, "the tool is under way")
        more = {**nodes, "b": {"next": "c"}, "c": {"tool": "give", "inputs": {"value": {"added": True}}}}
        version = new_version(run, actor, more)
        migrate_run(run=run, version=version, actor=actor)
        post(run, kind="nonsense", payload={}, actor=actor)
        wait_until(lambda: has_come(run, "MailRefused"), "the driver has seen the mail")
        assert not has_come(run, "RunMigrated")
        opened.set()
        assert finish(run).status == "completed"
    assert types(run)[2:] == ["StepCompleted", "RunMigrated", "StepCompleted", "StepCompleted", "RunCompleted"]
    assert current_state(run).values == {"waited": True, "attempt": 1, "added": True}
    assert verify_run(run).differences == []
    assert run.version == version


def test_a_failed_run_is_patched_and_retried(actor):
    nodes = {"a": {"tool": "give", "inputs": {"value": {"out": "= 1 / x"}}}}
    with driving():
        run = finish(start(actor, nodes, {"x": 0}))
        assert run.status == "failed"
        changes = {"nodes": {"a": {"inputs": {"value": {"out": 7}}}}}
        version = patch_run(run=run, changes=changes, actor=actor)
        assert version.number == 2
        wait_until(lambda: has_come(run, "RunMigrated"), "it is migrated")
        wait_until(lambda: Run.objects.get(pk=run.pk).driver_id is None, "its driver has let go of it")
        assert Run.objects.get(pk=run.pk).status == "failed"
        post(run, kind="retry", payload={"steps": []}, actor=actor)
        Run.objects.filter(pk=run.pk).update(wake_at=timezone.now())
        wait_until(lambda: has_come(run, "RunCompleted"), "it is completed")
    assert current_state(run).values == {"x": 0, "out": 7}
    assert verify_run(run).differences == []


def test_a_patch_that_cannot_be_taken_publishes_nothing(actor, waiting):
    with pytest.raises(MigrationRefused):
        patch_run(run=waiting, changes={"nodes": {"w": None, "a": {"next": "c"}}}, actor=actor)
    with pytest.raises(DefinitionInvalid):
        patch_run(run=waiting, changes={"nodes": {"c": {"tool": "no such tool"}}}, actor=actor)
    with pytest.raises(DefinitionInvalid, match="no-such-graph"):
        patch_run(run=waiting, changes={"nodes": {"c": {"tool": None, "graph": "no-such-graph"}}}, actor=actor)
    assert waiting.version.graph.versions.count() == 1


def test_a_patch_that_comes_twice_at_the_same_moment_is_one_version(actor, waiting):
    once, barrier, numbers = RequestKey.of("once", {}), threading.Barrier(2), []

    def patch() -> None:
        barrier.wait()
        try:
            version = patch_run(run=waiting, changes={"description": "patched"}, actor=actor, request_key=once)
            numbers.append(version.number)
        finally:
            connection.close()

    threads = [threading.Thread(target=patch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert numbers == [2, 2]
    assert waiting.version.graph.versions.count() == 2
    assert waiting.mailbox.count() == 1


def test_a_run_that_was_migrated_is_taken_over_by_another_driver(actor, waiting):
    version = new_version(waiting, actor, {**NODES, "c": {**NODES["c"], "next": "d"}, "d": NODES["c"]})
    migrate_run(run=waiting, version=version, actor=actor)
    with driving():
        wait_until(lambda: has_come(waiting, "RunMigrated"), "it is migrated")
        wait_until(lambda: Run.objects.get(pk=waiting.pk).driver_id is None, "its driver has let go of it")
    post(waiting, kind="cancel", payload={"reason": "enough"}, actor=actor)
    with driving():
        assert finish(waiting).status == "cancelled"


def test_a_merge_patch_is_that_of_rfc_7396():
    target = {"a": "b", "c": {"d": "e", "f": "g"}}
    assert merge_patch(target, {"a": "z", "c": {"f": None}}) == {"a": "z", "c": {"d": "e"}}
    assert merge_patch({"a": [1, 2]}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}
    assert merge_patch("text", {"a": 1}) == {"a": 1}


SECRET = {"schema": {"properties": {"pin": {"type": "string", "format": "password"}}}}
LEAKING = {
    "w": {"wait": {"signal": "go"}, "outputs": {}, "next": "c"},
    "c": {"tool": "migrating.leak"},
}


@tool(name="migrating.leak")
def leak(pin: str) -> dict:
    """Fails with a secret."""
    raise ValueError(f"The pin {pin} is wrong.")


def test_what_a_former_version_marks_secret_stays_so_in_the_run_and_in_its_forks(actor):
    with driving():
        run = start(actor, LEAKING, {"pin": "9876-canary"}, state=SECRET)
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it waits")
        for nodes in ({**LEAKING, "b": {}}, LEAKING):
            version = new_version(run, actor, nodes)
            migrate_run(run=run, version=version, actor=actor)
            wait_until(Run.objects.filter(pk=run.pk, version=version, status="waiting").exists, "it has moved")
            run.refresh_from_db()
        fork = fork_run(run=run, at_seq=run.seq, actor=actor)
        wait_until(lambda: Run.objects.get(pk=fork.pk).status == "waiting", "the fork waits")
        for each in (run, fork):
            signal_run(run=each, name="go", payload={}, actor=actor)
            assert finish(each).status == "failed"
    for each in (run, fork):
        entries = list(Event.objects.filter(run=each))
        assert any("canary" in entry.data for entry in entries), "the journal has to keep it"
        assert "canary" not in json.dumps([render(entry, redaction_of(each)) for entry in entries])
        assert current_state(each).values == {"pin": REDACTED}
        assert StepError.objects.get(run=each).message == f"The pin {REDACTED} is wrong."
