"""Tickets for drivers: when one is left, and that nothing depends on it."""

from datetime import timedelta

import django.db
import pytest
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signals import pre_execute

from runs import cluster, dispatch
from runs.driver import registration
from runs.driver.identity import ProcessStat
from runs.models import Driver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def may_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_next_look_at", float("-inf"))


def tickets() -> int:
    return OrmQ.objects.count()


def test_a_ticket_is_left_when_no_driver_is_alive():
    dispatch.ensure_driver()
    [ticket] = OrmQ.objects.all()
    assert ticket.key == "workflow"
    assert ticket.task["func"] == dispatch.TICKET
    assert (ticket.task["args"], ticket.task["kwargs"]) == ((), {}), "it says nothing but: be a driver"


def test_a_ticket_that_waits_is_enough(monkeypatch):
    dispatch.ensure_driver()
    monkeypatch.setattr(dispatch, "_next_look_at", float("-inf"))
    dispatch.ensure_driver()
    assert tickets() == 1


def test_no_ticket_is_left_while_a_driver_lives():
    registration.register(quarantine=False)
    dispatch.ensure_driver()
    assert tickets() == 0


def test_a_driver_that_fell_silent_does_not_count(settings):
    registration.register(quarantine=False)
    Driver.objects.update(beat_at=Now() - timedelta(seconds=settings.WORKFLOW.lease_s + 1))
    dispatch.ensure_driver()
    assert tickets() == 1


def test_it_looks_once_a_second_at_most(django_assert_num_queries):
    dispatch.ensure_driver()
    with django_assert_num_queries(0):
        dispatch.ensure_driver()


@pytest.mark.parametrize("error", [django.db.OperationalError("locked"), dispatch.redis.ConnectionError("no Redis")])
def test_a_broker_that_is_away_costs_the_caller_nothing(error, monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(dispatch, "async_task", refuse)
    dispatch.ensure_driver()
    assert "No driver could be asked for" in caplog.text


def test_a_ticket_is_acknowledged_as_it_is_taken():
    dispatch.leave_tickets(1)
    [(key, _)] = get_broker().dequeue()
    assert tickets() == 1, "it is locked"
    pre_execute.send(sender="django_q", func=None, task={"func": dispatch.TICKET, "ack_id": key})
    assert tickets() == 0


def test_other_tasks_of_the_queue_are_left_to_django_q():
    dispatch.leave_tickets(1)
    [(key, _)] = get_broker().dequeue()
    pre_execute.send(sender="django_q", func=None, task={"func": "some.other.task", "ack_id": key})
    assert tickets() == 1


def test_the_queue_of_a_pool_that_ended_is_deleted():
    OrmQ.objects.create(key="workflow-1", payload="a ticket", lock="2094-01-01T00:00Z")
    dispatch.leave_tickets(1)
    dispatch.delete_queue("workflow-1")
    assert [ticket.key for ticket in OrmQ.objects.all()] == ["workflow"]


GUARD = 4711


@pytest.fixture
def driving(monkeypatch: pytest.MonkeyPatch) -> list[ProcessStat]:
    """The processes that drive, of this pool and of others; two belong to a pool."""
    processes: list[ProcessStat] = []
    monkeypatch.setattr(registration, "driver_processes", lambda: processes)
    monkeypatch.setattr(dispatch, "POOL_SIZE", 2)
    return processes


def process(parent: int = GUARD) -> ProcessStat:
    return ProcessStat(state="S", parent=parent, group=1, started="1")


def test_a_keeper_leaves_a_ticket_for_each_driver_that_is_missing_once(driving):
    keeper = cluster.Keeper()
    keeper.each_second(GUARD)
    keeper.each_second(GUARD)
    assert tickets() == 2
    driving += [process(), process()]
    keeper.each_second(GUARD)
    assert tickets() == 2


def test_a_keeper_leaves_a_ticket_at_once_for_a_driver_that_died(driving):
    driving += [process(), process()]
    keeper = cluster.Keeper()
    keeper.each_second(GUARD)
    assert tickets() == 0
    driving.pop()
    keeper.each_second(GUARD)
    assert tickets() == 1


def test_drivers_of_another_pool_do_not_count(driving):
    driving += [process(), process(parent=GUARD + 1)]
    cluster.Keeper().each_second(GUARD)
    assert tickets() == 1


def test_a_lost_ticket_is_left_again_after_a_while(driving, monkeypatch):
    driving += [process()]
    keeper = cluster.Keeper()
    keeper.each_second(GUARD)
    monkeypatch.setattr(cluster, "TICKET_EVERY_S", 0)
    keeper.each_second(GUARD)
    assert tickets() == 2


@pytest.mark.parametrize("error", [django.db.OperationalError("away"), dispatch.BrokerUnavailable("away")])
def test_a_keeper_outlives_an_absence_of_database_or_broker(error, driving, monkeypatch, caplog):
    keeper = cluster.Keeper()
    with monkeypatch.context() as away:

        def refuse(number: int) -> None:
            raise error

        away.setattr(dispatch, "leave_tickets", refuse)
        away.setattr("django.db.connections.close_all", lambda: None)  # the test's own transaction is on it
        keeper.each_second(GUARD)
    assert "cannot look after its drivers" in caplog.text
    keeper.each_second(GUARD)
    assert tickets() == 2
