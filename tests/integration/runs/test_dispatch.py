"""Tickets for drivers: when one is left, and that nothing depends on it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import django.db
import pytest
import redis
from django.db.models.functions import Now
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signals import pre_execute

from runs import cluster, dispatch
from runs.driver import registration
from runs.driver.pool import Pool
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


def test_it_does_not_look_again_so_soon(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 3600)
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


@pytest.fixture(params=[dispatch.DatabaseTickets, dispatch.RedisTickets])
def lost_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """One whose database or Redis is away."""

    def refuse() -> None:
        raise django.db.OperationalError("no database")

    monkeypatch.setattr(Conf, "REDIS", "redis://127.0.0.1:1/0")
    broker: Broker = request.param("workflow")
    if isinstance(broker, dispatch.DatabaseTickets):
        monkeypatch.setattr(broker, "get_connection", refuse)
    return broker


def test_a_pool_waits_for_a_broker_that_is_away(lost_broker, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 0.01)
    assert lost_broker.ping()
    assert lost_broker.dequeue() is None
    assert "No ticket can be taken" in caplog.text


def test_redis_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(dispatch, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        monkeypatch.setattr(Conf, "REDIS", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises(redis.TimeoutError):
            dispatch.RedisTickets("workflow").queue_size()


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


def test_the_queue_of_a_pool_that_ended_is_left_where_it_cannot_be_reached(lost_broker, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "get_broker", lambda queue: lost_broker)
    dispatch.delete_queue("workflow-1")
    assert "left behind" in caplog.text


class Workers:
    """A pool of two, whose workers are children of this process and do nothing but live."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.keeper = cluster.Keeper(self.pool)
        self._processes: list[subprocess.Popen[bytes]] = []

    def take_ticket(self) -> None:
        """Let another worker become a driver."""
        self._processes.append(subprocess.Popen(["sleep", "600"]))
        self.pool.drivers.enter(self._processes[-1].pid)

    def die(self) -> None:
        """Let the driver that came last die."""
        process = self._processes.pop()
        process.kill()
        process.wait()

    def look(self, parent: int | None = None) -> None:
        self.keeper.each_second(parent or os.getpid())


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr(dispatch, "POOL_SIZE", 2)
    # They go on in threads, and would deliver the webhooks of the tests that come later.
    monkeypatch.setattr(cluster.Errands, "start", lambda self: None)
    workers = Workers()
    yield workers
    while workers._processes:
        workers.die()


def test_a_keeper_leaves_a_ticket_for_each_driver_that_is_missing_once(workers):
    workers.look()
    workers.look()
    assert tickets() == 2
    workers.take_ticket()
    workers.take_ticket()
    workers.look()
    assert tickets() == 2


def test_a_keeper_leaves_a_ticket_at_once_for_a_driver_that_died(workers):
    workers.look()
    workers.take_ticket()
    workers.take_ticket()
    workers.look()
    workers.die()
    workers.look()
    assert tickets() == 3


def test_a_driver_that_came_and_died_between_two_looks_is_missing_too(workers):
    workers.look()
    for death in range(1, 4):
        workers.take_ticket()
        workers.die()
        workers.look()
        assert tickets() == 2 + death


def test_a_ticket_that_somebody_else_left_makes_no_difference(workers):
    workers.take_ticket()
    workers.look()
    assert tickets() == 1


def test_processes_of_another_parent_do_not_count(workers):
    workers.take_ticket()
    workers.look(parent=os.getppid())
    assert tickets() == 2


def test_a_lost_ticket_is_left_again_after_a_while(workers, monkeypatch):
    workers.take_ticket()
    workers.look()
    monkeypatch.setattr(cluster, "TICKET_EVERY_S", 0)
    workers.look()
    assert tickets() == 2


@pytest.mark.parametrize("error", [django.db.OperationalError("away"), dispatch.BrokerUnavailable("away")])
def test_a_keeper_outlives_an_absence_of_database_or_broker(error, workers, monkeypatch, caplog):
    with monkeypatch.context() as away:

        def refuse(number: int) -> None:
            raise error

        away.setattr(dispatch, "leave_tickets", refuse)
        away.setattr("django.db.connections.close_all", lambda: None)  # the test's own transaction is on it
        workers.look()
    assert "cannot look after its drivers" in caplog.text
    workers.look()
    assert tickets() == 2


class Cluster(cluster.ClusterChild):
    """A cluster that has no drivers, and a supervisor whose patience is over."""

    replacements = 0

    def __init__(self) -> None:
        super().__init__(workers=1)
        self._command = ["sleep", "600"]

    def replace(self) -> None:
        self.replacements += 1


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(cluster, "START_PATIENCE_S", 0)
    child = Cluster()
    child.start()
    yield child
    child.group.leader.kill()
    child.group.leader.wait()


def test_a_cluster_that_makes_no_drivers_is_replaced(supervised):
    supervised.tick()
    assert supervised.replacements == 1


def test_a_cluster_keeps_what_drivers_it_has_while_there_are_no_tickets_for_another_one(
    lost_broker, supervised, monkeypatch
):
    monkeypatch.setattr(dispatch, "get_broker", lambda: lost_broker)
    supervised.tick()
    assert supervised.replacements == 0
