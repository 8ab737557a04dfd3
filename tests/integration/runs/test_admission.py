"""How many runs go on at the same time."""

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from graphs import services as graphs
from graphs.models import GraphVersion
from runs import admission, control, services
from runs.admission import let_in
from runs.driver import registration
from runs.driver.main import drive
from runs.errors import BusinessKeyMissing, RunConflict
from runs.explain import explain_run
from runs.models import Event, Mailbox, Run
from runs.repeats import RequestKey
from runs.store import open_store
from runs.store.mail import post
from runs.store.takeover import hand_back, take_over
from tests.support.runs import definition, driving, finish
from tests.support.tools import gate
from tests.support.waiting import WAIT_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = {"a": {"tool": "increment"}}


@pytest.fixture
def new_version(actor) -> Callable[..., GraphVersion]:
    def create(nodes: dict[str, Any] = PLAIN, **more: Any) -> GraphVersion:
        return graphs.create_graph(definition=definition(nodes, **more), actor=actor)

    return create


@pytest.fixture
def begin(actor) -> Callable[..., Run]:
    def start(version: GraphVersion, **more: Any) -> Run:
        return services.start_run(version=version, state={"n": 0}, actor=actor, **more)

    return start


def is_queued(run: Run) -> bool:
    run.refresh_from_db()
    assert run.queued is (run.wake_at is None)
    return run.queued


def at_most(runs: int):
    return override_settings(WORKFLOW=configured.WORKFLOW.model_copy(update={"max_runs_per_organization": runs}))


# --------------------------------------------------------------------------- what a start says


def test_runs_with_one_business_key_go_on_side_by_side_unless_told_otherwise(begin, new_version):
    version = new_version()
    assert not any(is_queued(begin(version, business_key="k")) for _ in range(3))


def test_a_start_may_be_refused_with_the_run_that_is_under_way(begin, new_version):
    version = new_version()
    running = begin(version, business_key="k")
    with pytest.raises(RunConflict) as refused:
        begin(version, business_key="k", on_conflict="reject")
    assert refused.value.details[0].message == str(running.uuid)
    assert Run.objects.count() == 1
    begin(version, business_key="other", on_conflict="reject")
    begin(new_version(), business_key="k", on_conflict="reject")
    with driving():
        finish(running)
        assert finish(begin(version, business_key="k", on_conflict="reject")).status == "completed"


def test_a_start_may_take_the_place_of_the_run_that_is_under_way(begin, new_version, actor):
    entered, _ = gate("old")
    version = new_version(
        {"a": {"tool": "wait_for", "inputs": {"name": "= name"}}}, state={"defaults": {"name": "old"}}
    )
    with driving():
        old = begin(version, business_key="k")
        entered.wait(10)
        _, opened = gate("new")
        opened.set()
        new = services.start_run(
            version=version, state={"name": "new"}, actor=actor, business_key="k", on_conflict="replace"
        )
        assert finish(old).status == "cancelled"
        assert finish(new).status == "completed"
    assert str(new.uuid) in Mailbox.objects.get(run=old).payload


def test_a_start_may_wait_until_the_run_that_is_under_way_is_over(begin, new_version):
    version = new_version()
    runs = [begin(version, business_key="k", on_conflict="enqueue") for _ in range(4)]
    assert [is_queued(run) for run in runs] == [False, True, True, True]
    assert not is_queued(begin(version, business_key="other", on_conflict="enqueue"))
    with driving():
        ends = [finish(run) for run in runs]
    assert {run.status for run in ends} == {"completed"}
    for before, after in itertools.pairwise(ends):
        assert before.finished_at <= after.started_at


def test_what_to_do_about_a_business_key_needs_one(begin, new_version):
    with pytest.raises(BusinessKeyMissing):
        begin(new_version(), on_conflict="reject")


def test_a_start_that_is_repeated_is_no_conflict_with_itself(begin, new_version):
    version, once = new_version(), RequestKey.of("once", {"business_key": "k"})
    first, second = (begin(version, business_key="k", on_conflict="reject", request_key=once) for _ in range(2))
    assert first.pk == second.pk


def test_of_two_starts_at_the_same_moment_one_wins(begin, new_version):
    version = new_version()
    barrier, ends = threading.Barrier(6), []

    def ask() -> None:
        barrier.wait()
        try:
            ends.append(begin(version, business_key="k", on_conflict="reject"))
        except RunConflict:
            ends.append(None)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(end is not None for end in ends) == 1
    assert Run.objects.count() == 1


# --------------------------------------------------------------------------- what a graph says


def test_a_graph_bounds_its_runs_over_all_versions(begin, new_version, actor):
    first = new_version(concurrency={"limit": 2})
    draft = graphs.create_draft(graph=first.graph, definition=definition(PLAIN, concurrency={"limit": 2}), actor=actor)
    second = graphs.publish_version(version=draft, actor=actor)
    runs = [begin(version) for version in (first, second, first, second)]
    assert [is_queued(run) for run in runs] == [False, False, True, True]
    with driving():
        assert {finish(run).status for run in runs} == {"completed"}


def test_a_graph_bounds_the_runs_of_each_business_key(begin, new_version):
    version = new_version(concurrency={"limit": 1, "per": "business_key"})
    keys = ["k", "k", "other", "", ""]
    assert [is_queued(begin(version, business_key=key)) for key in keys] == [False, True, False, False, False]


def test_a_graph_may_refuse_a_run_too_many(begin, new_version):
    version = new_version(concurrency={"limit": 2, "on_conflict": "reject"})
    for _ in range(2):
        begin(version)
    with pytest.raises(RunConflict):
        begin(version)


def test_a_graph_may_cancel_the_oldest_for_a_run_too_many(begin, new_version):
    version = new_version(concurrency={"limit": 2, "on_conflict": "replace"})
    runs = [begin(version) for _ in range(4)]
    with driving():
        assert [finish(run).status for run in runs] == ["cancelled", "cancelled", "completed", "completed"]


def test_the_start_cannot_allow_what_the_graph_does_not(begin, new_version):
    version = new_version(concurrency={"limit": 1})
    assert [is_queued(begin(version, on_conflict="allow")) for _ in range(2)] == [False, True]


def test_urgent_runs_leave_the_queue_first(begin, new_version):
    version = new_version(concurrency={"limit": 1})
    begin(version)
    late, urgent = begin(version), begin(version, priority=5)
    with driving():
        finish(late), finish(urgent)
    assert urgent.finished_at <= late.started_at


@pytest.mark.parametrize("graceful", [False, True])
def test_a_queued_run_can_be_cancelled_at_once(begin, new_version, actor, graceful):
    entered, opened = gate("first")
    version = new_version({"a": {"tool": "wait_for", "inputs": {"name": "first"}}}, concurrency={"limit": 1})
    with driving():
        first = begin(version)
        entered.wait(10)
        second = begin(version)
        second.refresh_from_db()
        assert explain_run(second)[0].because == "queued"
        control.cancel_run(run=second, actor=actor, graceful=graceful)
        assert finish(second).status == "cancelled"
        wait_until(lambda: not Run.objects.filter(queued=True).exists(), "it is in no queue any more")
        assert Run.objects.get(pk=second.pk).wake_at is None
        opened.set()
        assert finish(first).status == "completed"


@pytest.mark.parametrize("end", [partial(take_over, max_step_crashes=1), hand_back], ids=["death", "good order"])
def test_a_queued_run_is_cancelled_gracefully_without_a_step_whatever_ends_its_first_driver(
    begin, new_version, actor, end
):
    """That driver has claimed it for its cancelling, and written nothing."""
    version = new_version(concurrency={"limit": 1})
    begin(version)
    Run.objects.update(wake_at=None)  # nobody drives the first one, so that there is no room
    second = begin(version)
    control.cancel_run(run=second, actor=actor, graceful=True)
    first = registration.register(quarantine=False)
    with closing(open_store()) as store:
        (claimed,) = store.claim(driver_id=first.pk, limit=1, now=timezone.now(), quarantine=False)
    assert claimed.id == second.pk
    end(first)
    with driving(), driving(quarantine=True):
        assert finish(second).status == "cancelled"
    journal = Event.objects.filter(run=second).order_by("seq").values_list("type", flat=True)
    assert list(journal) == ["RunStarted", "RunCancelled", "StepCancelled"]


def test_mail_does_not_start_a_queued_run(begin, new_version, actor):
    version = new_version(concurrency={"limit": 1})
    begin(version)
    second = begin(version)
    post(second, kind="signal", payload={}, actor=actor)
    assert is_queued(second)


# --------------------------------------------------------------------------- what the installation says


@pytest.mark.parametrize(("limit", "queued"), [(3, 0), (2, 1), (0, 0)])
def test_an_organization_has_so_many_runs_under_way(begin, new_version, limit, queued):
    with at_most(limit):
        runs = [begin(new_version()) for _ in range(3)]
        assert sum(is_queued(run) for run in runs) == queued
        with driving():
            assert {finish(run).status for run in runs} == {"completed"}


def test_organizations_do_not_count_for_each_other(begin, new_version, stranger_actor):
    with at_most(1):
        assert not is_queued(begin(new_version()))
        foreign = graphs.create_graph(definition=definition(PLAIN), actor=stranger_actor)
        assert not is_queued(services.start_run(version=foreign, state={"n": 0}, actor=stranger_actor))


def test_a_run_that_waits_is_under_way(begin, new_version):
    version = new_version({"a": {"wait": {"seconds": 3600}}}, concurrency={"limit": 1})
    with driving():
        first = begin(version)
        wait_until(lambda: Run.objects.filter(pk=first.pk, status="waiting").exists(), "it waits")
        assert is_queued(begin(version))


def test_a_queue_is_looked_through_whatever_blocks_its_head(begin, new_version, actor):
    blocked, free = new_version(concurrency={"limit": 1}), new_version(concurrency={"limit": 2})
    begin(blocked), begin(free)
    Run.objects.filter(version=free).update(queued=False)
    begin(blocked)
    assert not is_queued(begin(free))
    with transaction.atomic():
        assert let_in(actor.organization.pk) == 0


@pytest.mark.parametrize("unreadable", ["{}", "{", "[]"])
def test_a_definition_that_cannot_be_read_keeps_nobody_else_in_the_queue(begin, new_version, actor, caplog, unreadable):
    broken, sound = new_version(), new_version(concurrency={"limit": 1})
    GraphVersion.objects.filter(pk=broken.pk).update(definition=unreadable, sha256="0" * 64)
    under_way, first, second = begin(sound), begin(sound), begin(sound)
    Run.objects.filter(pk=first.pk).update(version=broken)
    Run.objects.filter(pk=under_way.pk).update(status=Run.Status.COMPLETED)
    for admitted in (1, 0):
        with transaction.atomic():
            assert let_in(actor.organization.pk) == admitted
    assert is_queued(first)
    assert not is_queued(second)
    told = [record.getMessage() for record in caplog.records if record.name == "runs.admission"]
    assert len(told) == 1, "it is looked at every second"
    assert f"version {broken.pk}" in told[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_driver_ends_to_be_replaced_when_it_can_let_nobody_in_any_more(db, monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("runs.driver.keeper.let_in_everywhere", fail)
    stop = threading.Event()
    patience = threading.Timer(WAIT_S, stop.set)
    patience.start()
    with pytest.raises(RuntimeError, match="The keeper broke"):
        drive(stop=stop)
    patience.cancel()


def queue_up(run: Run, size: int, **more: Any) -> None:
    """So many queued runs of the same version."""
    now = timezone.now()
    Run.objects.bulk_create(
        Run(organization=run.organization, version=run.version, input="{}", queued=True, created_at=now, **more)
        for _ in range(size)
    )


@pytest.mark.parametrize(
    ("limits", "of_run"),
    [
        ({"concurrency": {"limit": 1}}, {}),
        ({"concurrency": {"limit": 1, "per": "business_key"}}, {"business_key": "k"}),
        ({}, {"business_key": "k", "exclusive": True}),
        ({}, {}),
    ],
    ids=["a graph's", "a key's", "an exclusive key's", "the organization's"],
)
def test_what_a_full_group_holds_back_is_not_looked_at_one_by_one(begin, new_version, monkeypatch, limits, of_run):
    with at_most(0 if limits or of_run else 1):
        key = {"business_key": of_run["business_key"]} if of_run else {}
        first = begin(new_version(**limits), **key)
        queue_up(first, 5 * admission.PAGE, **of_run)
        looked_at = []
        fetched = admission._Queue.next_page

        def counted(queue, room):
            page = fetched(queue, room)
            looked_at.extend(page)
            return page

        monkeypatch.setattr(admission._Queue, "next_page", counted)
        with CaptureQueriesContext(connection) as asked, transaction.atomic():
            assert let_in(first.organization_id) == 0
        assert len(looked_at) <= admission.PAGE
        assert len(asked) < 12
        Run.objects.filter(pk=first.pk).update(status="completed")
        with transaction.atomic():
            assert let_in(first.organization_id) == 1
        waiting = Run.objects.filter(status="pending", queued=False)
        assert waiting.get() == Run.objects.exclude(pk=first.pk).earliest("id")


def test_a_long_queue_is_let_in_by_priority_then_in_order(begin, new_version, monkeypatch):
    monkeypatch.setattr(admission, "PAGE", 3)
    with at_most(1):
        first = begin(new_version())
        for priority in (0, 5, -1, 5, 0, 7, 0, -1):
            queue_up(first, 1, priority=priority)
    order = list(Run.objects.filter(queued=True).order_by("-priority", "id"))
    with at_most(6), transaction.atomic():
        assert let_in(first.organization_id) == 5
    assert [is_queued(run) for run in order] == [False] * 5 + [True] * 3


def test_runs_behind_those_of_full_keys_are_let_in(begin, new_version, monkeypatch):
    monkeypatch.setattr(admission, "PAGE", 2)
    version = new_version(concurrency={"limit": 1, "per": "business_key"})
    keys = [f"key {number}" for number in range(5)]
    runs = [begin(version, business_key=key) for key in keys]
    for key in keys:
        queue_up(runs[0], 2, business_key=key)
    queue_up(runs[0], 1, business_key="free")
    with transaction.atomic():
        assert let_in(runs[0].organization_id) == 1
    assert not Run.objects.get(business_key="free").queued


# --------------------------------------------------------------------------- REST


def test_a_conflict_is_a_409_that_names_the_run(api_client, new_version):
    body = {"version": str(new_version().uuid), "business_key": "k", "on_conflict": "reject", "initial_state": {"n": 0}}
    running = api_client.post("/api/v1/runs/", body).json()
    answer = api_client.post("/api/v1/runs/", body)
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["message"]) == ("run-conflict", running["id"])


def test_a_queued_run_says_so(api_client, new_version):
    body = {
        "version": str(new_version().uuid),
        "business_key": "k",
        "on_conflict": "enqueue",
        "initial_state": {"n": 0},
    }
    assert [api_client.post("/api/v1/runs/", body).json()["queued"] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"priority": 1000}, 201),
        ({"priority": 1001}, 422),
        ({"priority": -1000}, 201),
        ({"priority": -1001}, 422),
        ({"on_conflict": "reject"}, 422),
        ({"on_conflict": "perhaps", "business_key": "k"}, 422),
    ],
)
def test_priorities_and_policies_are_checked(api_client, new_version, wanted, status):
    answer = api_client.post("/api/v1/runs/", {"version": str(new_version().uuid), **wanted})
    assert answer.status_code == status, answer.json()
