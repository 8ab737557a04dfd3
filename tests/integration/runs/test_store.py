"""The store against the database that the tests run on: SQLite or PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from accounts.actor import Actor
from accounts.models import Organization
from graphs.models import Graph, GraphVersion
from runs.driver import registration
from runs.errors import DriverGone
from runs.models import Driver, Event, Run, Snapshot, Step, StepError, StreamChunk
from runs.store import Head, RunWrite, StepRow, Store, open_store
from runs.store.mail import post
from runs.store.writes import ChunkRow, ErrorRow, EventRow
from tests.support.waiting import wait_until

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


def test_a_driver_whose_row_is_gone_claims_nothing_and_is_told(store, driver_id, version):
    run = new_run(version)
    Driver.objects.filter(pk=driver_id).delete()
    with pytest.raises(DriverGone, match=f"driver {driver_id} "):
        claim_one(store, driver_id)
    run.refresh_from_db()
    assert (run.driver_id, run.epoch, run.wake_at) == (None, 0, NOW)


def test_the_most_urgent_runs_are_claimed_first(store, driver_id, version):
    late = new_run(version)
    early = new_run(version, wake_at=NOW - timedelta(seconds=1))
    urgent = new_run(version, priority=5)
    order = [claim_one(store, driver_id).id for _ in range(3)]
    assert order == [urgent.pk, early.pk, late.pk]


def test_runs_that_the_driver_does_not_know_to_hold_are_released_and_no_others(store, driver_id, version):
    known, stray, foreign = (new_run(version, priority=priority) for priority in (3, 2, 1))
    claim_one(store, driver_id), claim_one(store, driver_id)
    other = registration.register(quarantine=False)
    claim_one(store, other.pk)
    later = NOW + timedelta(seconds=1)
    assert store.release(driver_id=driver_id, but=[known.pk], now=later) == 1
    assert store.release(driver_id=driver_id, but=[known.pk], now=later) == 0
    held = {run.pk: (run.driver_id, run.wake_at, run.epoch) for run in Run.objects.all()}
    assert held == {known.pk: (driver_id, None, 1), stray.pk: (None, later, 1), foreign.pk: (other.pk, None, 1)}


def test_a_driver_that_knows_of_no_run_releases_all(store, driver_id, version):
    new_run(version)
    claim_one(store, driver_id)
    assert store.release(driver_id=driver_id, but=(), now=NOW) == 1
    assert claim_one(store, driver_id).epoch == 2


def test_a_step_is_written_whole_and_read_back_as_it_was(store, driver_id, version):
    run = new_run(version)
    claimed = claim_one(store, driver_id)
    write = step_write(run.pk, claimed.epoch)
    assert store.commit([write]) == set()
    assert store.events(run.pk) == write.events
    assert store.head(run.pk) == (claimed.epoch, 1)
    step = Step.objects.get(run=run)
    assert (step.key, step.node, step.status, step.finished_at) == (STEP.hex(), "a", "completed", NOW)


@pytest.mark.parametrize(("before", "crashes"), [("failed", 0), ("running", 5)])
def test_a_step_that_failed_and_goes_on_has_killed_no_worker_yet(store, driver_id, version, before, crashes):
    new_run(version)
    run = claim_one(store, driver_id)
    write = step_write(run.id, run.epoch)
    write.steps[STEP] = write.steps[STEP]._replace(status=before)
    store.commit([write])
    Step.objects.update(crashes=5)
    write = step_write(run.id, run.epoch, after=1)
    write.steps[STEP] = write.steps[STEP]._replace(status="running", attempt=2)
    store.commit([write])
    assert Step.objects.get().crashes == crashes


def test_a_step_is_tried_from_the_write_that_says_so_to_the_next_that_changes_it(store, driver_id, version):
    new_run(version)
    run = claim_one(store, driver_id)
    tried = []
    for seq, changes in enumerate(({"tried": [STEP]}, {}, {"tried": [STEP]}, {"steps": {}}, {})):
        store.commit([step_write(run.id, run.epoch, after=seq, **changes)])
        tried.append(Step.objects.get().tried_at)
    assert tried == [NOW, None, NOW, NOW, None]


def test_of_the_steps_in_doubt_the_one_that_was_tried_comes_first(store, driver_id, version):
    new_run(version)
    run = claim_one(store, driver_id)
    row = step_write(run.id, run.epoch).steps[STEP]
    names = [b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 10]
    rows = {name: row._replace(step=name, status="running") for name in names}
    store.commit([step_write(run.id, run.epoch, steps={**rows, STEP: row}, tried=[names[2]])])
    Step.objects.exclude(step=names[3]).update(doubts=1)
    assert list(store.doubts(run.id).items()) == [(names[2], 1), (names[0], 1), (names[1], 1)]


def test_a_heartbeat_is_kept_until_its_attempt_is_over(store, driver_id, version):
    new_run(version)
    run = claim_one(store, driver_id)
    write = step_write(run.id, run.epoch)
    write.steps[STEP] = write.steps[STEP]._replace(status="running")
    store.commit([write])
    assert store.heartbeats(run.id) == {}
    for details in ('{"page":1}', '{"page":2}'):
        store.commit(
            [RunWrite(run_id=run.id, epoch=run.epoch, expected_seq=1, seq=1, at=NOW, heartbeats={STEP: details})]
        )
        assert store.heartbeats(run.id) == {STEP: details}
    store.commit([step_write(run.id, run.epoch, after=1, steps=write.steps)])
    assert store.heartbeats(run.id) == {}


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
@pytest.mark.parametrize("events", [1, 3, 4])
def test_a_write_of_any_number_of_events_and_steps_is_written_whole(store, driver_id, version, events, steps):
    new_run(version)
    run = claim_one(store, driver_id)
    write = step_write(run.id, run.epoch, seq=events)
    (row,), data = write.steps.values(), '{"a":"ä"}'
    write.events = [EventRow(seq, "StepCompleted", 1, NOW, data) for seq in range(1, events + 1)]
    write.steps = {
        b"step%06d" % n: row._replace(step=b"step%06d" % n, attempt=n, status="failed") for n in range(steps)
    }
    assert store.commit([write]) == set()
    assert store.events(run.id) == write.events
    assert {row.step: row for row in store.open_steps(run.id)} == write.steps
    assert store.head(run.id) == (run.epoch, events)


def test_a_step_row_is_replaced_but_keeps_when_it_was_scheduled(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    first = step_write(run.pk, epoch)
    first.steps[STEP] = first.steps[STEP]._replace(status="running", finished_seq=None, finished_at=None)
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


def test_mail_that_is_posted_while_the_run_is_handed_back_makes_it_due(store, driver_id, version, actor):
    """The statement that hands it back waits for the row and does not see the mail that came with the lock."""
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    letting_go = threading.Thread(target=lambda: store.commit([step_write(run.pk, epoch, head=Head(status="paused"))]))
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=run.pk)
        if connection.vendor == "postgresql":
            letting_go.start()
            wait_until(is_somebody_waiting_for_a_lock, "the driver waits for the row")
        post(run, kind="resume", payload={}, actor=actor)
    if connection.vendor != "postgresql":
        letting_go.start()
    letting_go.join()
    run.refresh_from_db()
    assert run.driver_id is None
    assert run.wake_at is not None


def is_somebody_waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw at its first look
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%runs_run%'"
        )
        return cursor.fetchone()[0] > 0


def test_mail_to_a_run_that_fails_meanwhile_makes_it_due(store, driver_id, version, actor):
    for status, is_due in (("completed", False), ("cancelled", False), ("failed", True)):
        run = new_run(version)
        epoch = claim_one(store, driver_id).epoch
        post(run, kind="retry", payload={"steps": []}, actor=actor)
        store.commit([step_write(run.pk, epoch, head=Head(status=status, finished_at=NOW))])
        run.refresh_from_db()
        assert (run.wake_at is not None) is is_due


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
    assert store.streamed(run.pk) == {STEP: 2}
    assert "".join(StreamChunk.objects.filter(run=run).values_list("text", flat=True)) == "token"
    store.commit([step_write(run.pk, epoch, after=1, ended_streams=[STEP])])
    assert not StreamChunk.objects.filter(run=run).exists()


def test_a_new_snapshot_drops_the_ones_no_longer_worth_keeping(store, driver_id, version):
    run = new_run(version)
    epoch = claim_one(store, driver_id).epoch
    for after, kept in [(0, []), (1, [1]), (2, [1])]:
        more = {"snapshot": "s" * (after + 1), "kept_snapshots": kept, "journal_size": 100 * (after + 1)}
        store.commit([step_write(run.pk, epoch, after=after, **more)])
    assert store.snapshots(run.pk) == [(1, 1, 100), (3, 3, 300)]
    assert store.snapshot(run.pk, 3) == "sss"
    assert Snapshot.objects.filter(run=run).count() == 2
    sizes = [len(event.data) for event in store.events(run.pk)]
    assert [store.journal_size(run.pk, until=seq) for seq in (1, 3)] == [sizes[0], sum(sizes)]


# --------------------------------------------------------------------------- turns


@pytest.fixture
def foreign_version(stranger_actor: Actor) -> GraphVersion:
    graph = Graph.objects.create(organization=stranger_actor.organization, name="g", slug="g")
    return GraphVersion.objects.create(graph=graph, number=1, status=GraphVersion.Status.PUBLISHED)


def many_runs(version: GraphVersion, number: int, **values: object) -> None:
    organization = version.graph.organization
    Run.objects.bulk_create(
        Run(organization=organization, version=version, input="{}", **{"wake_at": NOW, **values}) for _ in range(number)
    )


@pytest.mark.parametrize("limit", [1, 3])
def test_a_thousand_due_runs_of_one_organization_delay_another_by_a_claim(
    store, driver_id, version, foreign_version, limit
):
    many_runs(version, 1000, wake_at=NOW - timedelta(hours=1), priority=100)
    lonely = new_run(foreign_version)
    claims = [store.claim(driver_id=driver_id, limit=limit, now=NOW, quarantine=False) for _ in range(2)]
    assert lonely.pk in [run.id for claimed in claims for run in claimed]


def test_organizations_take_turns_from_claim_to_claim(store, driver_id, version, foreign_version):
    many_runs(version, 4)
    many_runs(foreign_version, 4)
    claimed = [claim_one(store, driver_id).organization_id for _ in range(8)]
    assert claimed == [claimed[0], claimed[1]] * 4
    assert claimed[0] != claimed[1]


def test_a_claim_is_shared_out_and_what_one_cannot_use_is_the_others(store, driver_id, version, foreign_version):
    many_runs(version, 20)
    many_runs(foreign_version, 3)
    claimed = store.claim(driver_id=driver_id, limit=10, now=NOW, quarantine=False)
    foreign = [run for run in claimed if run.organization_id == foreign_version.graph.organization_id]
    assert (len(claimed), len(foreign)) == (10, 3)


def test_each_of_more_organizations_than_a_claim_has_room_for_gets_its_turn(store, driver_id, version):
    organizations = Organization.objects.bulk_create(
        Organization(slug=f"o{number}", name=f"o{number}") for number in range(7)
    )
    for organization in organizations:
        Run.objects.create(organization=organization, version=version, input="{}", wake_at=NOW)
    many_runs(version, 20)
    claims = [store.claim(driver_id=driver_id, limit=3, now=NOW, quarantine=False) for _ in range(3)]
    assert {run.organization_id for claimed in claims for run in claimed} >= {each.pk for each in organizations}


@pytest.mark.parametrize(("number", "limit"), [(40, 5), (300, 1)])
def test_two_drivers_share_the_due_runs_of_one_organization(driver_id, version, number, limit):
    many_runs(version, number)
    stores = [open_store(), open_store()]
    got: list[int] = []

    def claim(store: Store) -> None:
        while runs := store.claim(driver_id=driver_id, limit=limit, now=NOW, quarantine=False):
            got.extend(run.id for run in runs)

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert len(got) == len(set(got)) == number
    assert set(Run.objects.values_list("epoch", flat=True)) == {1}
