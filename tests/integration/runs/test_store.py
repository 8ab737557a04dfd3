"""The store against the database that the tests run on: SQLite or PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts.actor import Actor
from graphs.models import Graph, GraphVersion
from runs.driver import registration
from runs.models import Event, Run, Snapshot, Step, StepError, StreamChunk
from runs.store import Head, RunWrite, StepRow, Store, open_store
from runs.store.mail import post
from runs.store.writes import ChunkRow, ErrorRow, EventRow

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
STEP = b"0123456789"


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store()
    yield store
    store.close()


@pytest.fixture
def driver_id() -> int:
    return registration.register(quarantine=False).pk


@pytest.fixture
def version(actor: Actor) -> GraphVersion:
    graph = Graph.objects.create(organization=actor.organization, name="g", slug="g")
    return GraphVersion.objects.create(graph=graph, number=1, status=GraphVersion.Status.PUBLISHED)


def new_run(version: GraphVersion, **values: object) -> Run:
    return Run.objects.create(
        organization=version.graph.organization, version=version, input="{}", **{"wake_at": NOW, **values}
    )


def claim_one(store: Store, driver_id: int):
    (claimed,) = store.claim(driver_id=driver_id, limit=1, now=NOW, quarantine=False)
    return claimed


def step_write(run_id: int, epoch: int, *, after: int = 0, **changes: object) -> RunWrite:
    """What one completed step writes."""
    row = StepRow(
        step=STEP, node="a", path="", status="completed", attempt=1, scheduled_seq=1, scheduled_at=NOW,
        started_at=NOW, finished_seq=after + 1, finished_at=NOW,
    )  # fmt: skip
    write = RunWrite(run_id=run_id, epoch=epoch, expected_seq=after, seq=after + 1, at=NOW)
    write.events.append(EventRow(after + 1, "StepCompleted", 1, NOW, '{"a":"ä"}'))
    write.steps[STEP] = row
    for name, value in changes.items():
        setattr(write, name, value)
    return write


def test_a_due_run_is_claimed_once_and_its_epoch_raised(store, driver_id, version):
    run = new_run(version)
    claimed = claim_one(store, driver_id)
    assert (claimed.id, claimed.uuid, claimed.epoch, claimed.status) == (run.pk, run.uuid, 1, "running")
    assert claimed.started_at == NOW
    assert store.claim(driver_id=driver_id, limit=9, now=NOW, quarantine=False) == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"wake_at": NOW + timedelta(microseconds=1)}, "its time has not come"),
        ({"wake_at": None}, "it waits for somebody"),
        ({"quarantined": True}, "it is for the quarantine driver"),
    ],
)
def test_a_run_that_is_not_due_is_left_alone(store, driver_id, version, values, why):
    new_run(version, **values)
    assert store.claim(driver_id=driver_id, limit=9, now=NOW, quarantine=False) == [], why


def test_the_most_urgent_runs_are_claimed_first(store, driver_id, version):
    late = new_run(version)
    early = new_run(version, wake_at=NOW - timedelta(seconds=1))
    urgent = new_run(version, priority=5)
    order = [claim_one(store, driver_id).id for _ in range(3)]
    assert order == [urgent.pk, early.pk, late.pk]


def test_a_step_is_written_whole_and_read_back_as_it_was(store, driver_id, version):
    run = new_run(version)
    claimed = claim_one(store, driver_id)
    write = step_write(run.pk, claimed.epoch)
    assert store.commit([write]) == set()
    assert store.events(run.pk) == write.events
    assert store.head(run.pk) == (claimed.epoch, 1)
    step = Step.objects.get(run=run)
    assert (step.key, step.node, step.status, step.finished_at) == (STEP.hex(), "a", "completed", NOW)


def test_a_step_row_is_replaced_but_keeps_when_it_was_scheduled(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    first = step_write(run.pk, epoch)
    first.steps[STEP] = replace(first.steps[STEP], status="running", finished_seq=None, finished_at=None)
    store.commit([first])
    (open_step,) = store.open_steps(run.pk)
    assert open_step == first.steps[STEP]
    store.commit([step_write(run.pk, epoch, after=1)])
    assert store.open_steps(run.pk) == []
    assert Step.objects.get(run=run).scheduled_seq == 1


@pytest.mark.parametrize(("epoch", "after"), [(0, 0), (2, 0), (1, 1)], ids=["earlier", "later", "another seq"])
def test_a_write_that_does_not_continue_the_head_writes_nothing(store, driver_id, version, epoch, after):
    run, other = new_run(version), new_run(version, priority=-1)
    claim_one(store, driver_id), claim_one(store, driver_id)
    lost = store.commit([step_write(run.pk, epoch, after=after), step_write(other.pk, 1)])
    assert lost == {run.pk}
    assert not Event.objects.filter(run=run).exists()
    assert not Step.objects.filter(run=run).exists()
    assert Event.objects.filter(run=other).count() == 1, "the neighbour in the same transaction is written"


def test_a_run_that_ends_lets_go_of_its_driver_and_is_never_due_again(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    head = Head(status="failed", error="a: Boom", finished_at=NOW)
    store.commit([step_write(run.pk, epoch, head=head)])
    run.refresh_from_db()
    assert (run.status, run.error, run.finished_at, run.driver_id, run.wake_at) == (
        "failed",
        "a: Boom",
        NOW,
        None,
        None,
    )


def test_a_run_handed_back_is_due_when_it_said(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    later = NOW + timedelta(hours=1)
    store.commit([step_write(run.pk, epoch, head=Head(status="running", wake_at=later, quarantined=True))])
    run.refresh_from_db()
    assert (run.driver_id, run.wake_at, run.quarantined) == (None, later, True)


def test_mail_that_came_meanwhile_makes_a_run_that_is_handed_back_due_at_once(store, driver_id, version, actor):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    post(run, kind="cancel", payload={"reason": "x"}, actor=actor)
    later = NOW + timedelta(hours=1)
    store.commit([step_write(run.pk, epoch, head=Head(status="running", wake_at=later))])
    run.refresh_from_db()
    assert run.wake_at == NOW


def test_mail_that_the_same_write_takes_in_does_not_make_the_run_due(store, driver_id, version, actor):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    post(run, kind="cancel", payload={"reason": "x"}, actor=actor)
    (mail,) = store.unread_mail([run.pk])
    assert (mail.kind, mail.payload, mail.actor) == ("cancel", '{"reason":"x"}', actor.name)
    later = NOW + timedelta(hours=1)
    head = Head(status="running", wake_at=later)
    store.commit([step_write(run.pk, epoch, head=head, consumed=[(mail.id, 1)])])
    run.refresh_from_db()
    assert run.wake_at == later
    assert store.unread_mail([run.pk]) == []


def test_errors_and_streamed_text_are_kept_and_the_text_goes_with_its_step(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    error = ErrorRow(STEP, 1, NOW, "ValueError", "bad", "Traceback …")
    chunks = [ChunkRow(STEP, 0, "to"), ChunkRow(STEP, 1, "ken")]
    store.commit([step_write(run.pk, epoch, errors=[error], chunks=chunks)])
    assert StepError.objects.get(run=run).traceback == "Traceback …"
    assert "".join(StreamChunk.objects.filter(run=run).values_list("text", flat=True)) == "token"
    store.commit([step_write(run.pk, epoch, after=1, ended_streams=[STEP])])
    assert not StreamChunk.objects.filter(run=run).exists()


def test_a_new_snapshot_drops_the_ones_no_longer_worth_keeping(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    for after, kept in [(0, []), (1, [1]), (2, [1])]:
        store.commit([step_write(run.pk, epoch, after=after, snapshot="s" * (after + 1), kept_snapshots=kept)])
    assert store.snapshots(run.pk) == [(1, 1), (3, 3)]
    assert store.snapshot(run.pk, 3) == "sss"
    assert Snapshot.objects.filter(run=run).count() == 2
    assert store.journal_size(run.pk) == sum(len(event.data) for event in store.events(run.pk))
