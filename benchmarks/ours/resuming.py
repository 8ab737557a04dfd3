"""A driver that is killed in the middle of a run, and the one that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

from benchmarks import definitions
from benchmarks.ours.driving import MeasurementFailed, must_be_completed, publish, start
from benchmarks.workload import elapsed
from graphs.models import GraphVersion
from runs.models import Driver, Event, Run, Step

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.005
DRIVERS = 3
"""Of a worker with default settings: two, and the one for quarantined runs."""


def resume_after_kill(*, steps: int, pause_s: float, kills: int) -> dict[str, float]:
    """Milliseconds from the SIGKILL until another driver of the same worker has done the run's next step."""
    version = publish(definitions.waiting_loop())
    with _worker():
        resumes = [_kill_in_the_middle(version, steps, pause_s) for _ in range(kills)]
    return {
        "resume_ms": median(done_ms for _, done_ms in resumes),
        "slowest_resume_ms": max(done_ms for _, done_ms in resumes),
        "taken_up_ms": median(taken_ms for taken_ms, _ in resumes),
    }


@contextmanager
def _worker() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "manage.py", "worker"], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _kill_in_the_middle(version: GraphVersion, steps: int, pause_s: float) -> tuple[float, float]:
    """Milliseconds until another driver has the run, and until it has completed a step."""
    _wait_until(lambda: Driver.objects.count() == DRIVERS, "all drivers are there")
    run = start(version, {"turns": steps, "seconds": pause_s})
    completed = Step.objects.filter(run=run, status=Step.Status.COMPLETED)
    _wait_until(lambda: completed.count() >= steps // 2, "half of the run is done")
    victim = Driver.objects.get(runs=run)
    killed_at = datetime.now(UTC)
    os.kill(victim.pid, signal.SIGKILL)
    _wait_until(lambda: Run.objects.filter(pk=run.pk, status__in=Run.TERMINAL).exists(), "the run is over")
    must_be_completed(run)
    since = Event.objects.filter(run=run, at__gt=killed_at).order_by("seq")
    rescheduled, done = since.filter(type="StepRescheduled").first(), since.filter(type="StepCompleted").first()
    if rescheduled is None or done is None or rescheduled.seq > done.seq:
        raise MeasurementFailed("The run went on without being taken over: its driver was not killed in the middle.")
    return tuple((event.at - killed_at).total_seconds() * 1000 for event in (rescheduled, done))


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    start_ns = time.perf_counter_ns()
    while not condition():
        if elapsed(start_ns) > PATIENCE_S:
            raise MeasurementFailed(f"Waited {PATIENCE_S:.0f} s in vain until {what}.")
        time.sleep(LOOK_EVERY_S)
