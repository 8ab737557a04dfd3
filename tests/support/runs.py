"""Starting runs in tests, and waiting for them."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from accounts.actor import Actor
from graphs import services as graphs
from runs import services
from runs.driver.main import drive
from runs.models import Run
from tests.support import tools as _tools  # noqa: F401 - registers them
from tests.support.waiting import WAIT_S, wait_until

_names = itertools.count()


def definition(nodes: dict[str, Any], *, start: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": f"graph {next(_names)}", "start_node": start or next(iter(nodes)), "nodes": nodes, **more}


def start(
    actor: Actor,
    nodes: dict[str, Any],
    initial: dict[str, Any] | None = None,
    *,
    business_key: str = "",
    breakpoints: Any = (),
    **more: Any,
) -> Run:
    """Start a run of a new graph with these nodes; `more` are other parts of the definition."""
    version = graphs.create_graph(definition=definition(nodes, **more), actor=actor)
    return services.start_run(
        version=version, state=initial or {}, actor=actor, business_key=business_key, breakpoints=breakpoints
    )


def is_waiting(run: Run) -> bool:
    """Whether it waits and has left memory."""
    run.refresh_from_db()
    return run.status == Run.Status.WAITING and run.driver_id is None


def finish(run: Run) -> Run:
    """Wait until the run is over."""

    def is_over() -> bool:
        run.refresh_from_db()
        return run.is_terminal

    wait_until(is_over, f"run {run.pk} is over")
    return run


@contextmanager
def driving(*, quarantine: bool = False) -> Iterator[threading.Event]:
    """A driver in a thread of this process. Yields the event that stops it; leaving the context stops it, too."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            drive(stop=stop, quarantine=quarantine)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()  # PostgreSQL does not drop a database that somebody is connected to

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the driver does not stop"
    if errors:
        raise errors[0]
