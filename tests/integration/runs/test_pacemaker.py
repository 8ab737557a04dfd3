"""The pacemaker keeps a lease, and tells its driver when the lease is lost."""

import threading
from datetime import timedelta

import django.db
import pytest
from django.conf import settings

from runs.driver import registration
from runs.driver.pacemaker import Pacemaker
from runs.models import Driver
from tests.support.runs import driving
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


class Fence:
    """Collects why the driver was fenced."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.closed = threading.Event()

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        self.closed.set()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    quick = settings.WORKFLOW.model_copy(update={"beat_interval_s": 0.02})
    monkeypatch.setattr(settings, "WORKFLOW", quick)
    return registration.register(quarantine=False)


def count_beats(monkeypatch: pytest.MonkeyPatch, number: int) -> threading.Event:
    """An event that is set when the pacemaker has made that many turns."""
    seen = threading.Event()
    turns = iter(range(1, number + 1))

    def look(self: object) -> int:
        if next(turns, number) == number:
            seen.set()
        return 0

    monkeypatch.setattr("runs.driver.deathwatch.DeathWatch.look", look)
    return seen


def test_it_beats_until_its_driver_ends(driver, monkeypatch):
    fence = Fence()
    beaten = count_beats(monkeypatch, 2)
    Driver.objects.update(beat_at=driver.beat_at - timedelta(hours=1))
    with Pacemaker(driver, on_fenced=fence):
        assert beaten.wait(WAIT_S)
    driver.refresh_from_db()
    assert registration.is_any_alive()
    assert fence.reasons == []


def test_it_takes_over_from_the_dead_and_rings_for_the_living(driver, monkeypatch):
    rung = threading.Event()
    monkeypatch.setattr("runs.driver.deathwatch.ring_drivers", rung.set)
    Driver.objects.create(
        **{field: getattr(driver, field) for field in ("host", "boot_id", "pid_namespace", "pid", "beat_at")},
        process_started="1",
        started_at=driver.started_at,
    )
    fence = Fence()
    with Pacemaker(driver, on_fenced=fence):
        assert rung.wait(WAIT_S)
    assert list(Driver.objects.all()) == [driver]
    assert fence.reasons == []


def test_it_fences_a_driver_that_others_took_for_dead(driver):
    fence = Fence()
    with Pacemaker(driver, on_fenced=fence):
        Driver.objects.all().delete()
        assert fence.closed.wait(WAIT_S)
    assert len(fence.reasons) == 1
    assert "took this one for dead" in fence.reasons[0]


def test_it_fences_its_driver_when_the_database_is_away_for_the_length_of_the_lease(driver, monkeypatch):
    def refuse(driver: Driver, not_called: object) -> bool:
        raise django.db.OperationalError("the server is gone")

    monkeypatch.setattr(registration, "beat", refuse)
    monkeypatch.setattr(settings, "WORKFLOW", settings.WORKFLOW.model_copy(update={"lease_s": 0.2}))
    fence = Fence()
    with Pacemaker(driver, on_fenced=fence):
        assert fence.closed.wait(WAIT_S)
    assert fence.reasons == ["The database has not taken a beat for 0.2 s."]


def test_a_short_absence_of_the_database_is_no_reason_to_stop(driver, monkeypatch):
    fence = Fence()
    failures = iter([django.db.OperationalError("locked")] * 2)

    def beat(driver: Driver, not_called: object) -> bool:
        if error := next(failures, None):
            raise error
        return True

    monkeypatch.setattr(registration, "beat", beat)
    beaten = count_beats(monkeypatch, 2)
    with Pacemaker(driver, on_fenced=fence):
        assert beaten.wait(WAIT_S)
    assert fence.reasons == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_pacemaker_fences_its_driver_too(driver, monkeypatch):
    def fail(driver: Driver) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(registration, "beat", fail)
    fence = Fence()
    with Pacemaker(driver, on_fenced=fence):
        assert fence.closed.wait(WAIT_S)
    assert fence.reasons == ["The pacemaker broke."]


def test_a_beat_that_outlasts_its_driver_tells_nobody(driver, monkeypatch):
    crashed: list[object] = []
    beating, go_on = threading.Event(), threading.Event()

    def beat(*_: object) -> bool:
        beating.set()
        return not go_on.wait(WAIT_S)

    monkeypatch.setattr(threading, "excepthook", crashed.append)
    monkeypatch.setattr(registration, "beat", beat)
    with driving():
        assert beating.wait(WAIT_S)
    [pacemaker] = [thread for thread in threading.enumerate() if thread.name == "pacemaker"]
    go_on.set()
    pacemaker.join(WAIT_S)
    assert crashed == []
