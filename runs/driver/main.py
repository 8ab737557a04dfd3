"""A driver: the loop in a worker process that claims due runs and executes them, many at once.

1. It waits for the bell, a poll interval at most.
2. It claims due runs while it has room, folds each journal, and begins.
3. It hands new mail to the runs it holds.
4. Told to stop, it claims nothing more, gives calls under way a grace time, and hands its runs back.

A lost lease (`Pacemaker`) or a bug, also one in a thread of the driver's own, ends the process's driver at once; what
it held is taken over by others.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import django.db
from django.conf import settings
from django.db import connections

from runs import bell
from runs.driver import letters, registration
from runs.driver.adoption import adopt, find_versions
from runs.driver.calls import Caller
from runs.driver.committer import Committer
from runs.driver.execution import Execution
from runs.driver.keeper import Keeper
from runs.driver.loop import run_to_end
from runs.driver.pacemaker import Pacemaker
from runs.driver.process.pool import ProcessPool
from runs.driver.services import Services
from runs.driver.threads import DaemonPool
from runs.errors import DriverGone, StoreBusy, StoreError
from runs.models import Driver as DriverRow
from runs.store import ClaimedRun, Store, open_store
from runs.store.base import Mail
from tools import registry

logger = logging.getLogger(__name__)

INLINE_BUSY_TIMEOUT_S = 0.01
"""How long a commit on the event loop waits for SQLite's write lock before the committer thread takes it."""

RETRY_S = 0.5
STOP_POLL_S = 0.5
"""How often the thread that waits for `stop` looks whether there is still a driver to tell."""


class Stop(Protocol):
    """What tells a driver to stop: an event of threading or multiprocessing."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


def drive(*, stop: Stop, quarantine: bool = False) -> None:
    """Execute runs in this process until `stop` is set, then hand them back; blocks.

    With `quarantine`, try one run after the other of those whose worker died. Raises DriverLost when the lease is lost.
    """
    registry.discover()
    row = registration.register(quarantine=quarantine)
    # Not kept for weeks: a server that restarts in the meantime would break it, and the driver could not leave.
    connections.close_all()
    store = open_store(busy_timeout_s=INLINE_BUSY_TIMEOUT_S)
    try:
        run_to_end(Driver(row, store, stop).run())
    finally:
        store.close()
    # Only in good order: what a driver that broke has held goes on in quarantine when its process is seen to be gone.
    registration.unregister(row)


class DriverLost(RuntimeError):
    """The driver may no longer write: its lease is gone."""


class Driver:
    """The event loop's side of a driver."""

    def __init__(self, row: DriverRow, store: Store, stop: Stop) -> None:
        self._row = row
        self._store = store
        self._stop = stop
        self._capacity = settings.WORKFLOW.runs_per_worker
        self._held: dict[int, Execution] = {}
        self._adopting: dict[asyncio.Task[None], int] = {}
        """By task: the run that it takes up."""
        self._look_for_strays_at = 0.0
        self._not_called: registration.NotCalled = {}
        self._broken: BaseException | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_bug)
        self._attention = asyncio.Event()
        self._stopping = asyncio.Event()
        pool = DaemonPool(size=settings.WORKFLOW.sync_tool_threads)
        committer = Committer(inline_store=self._store, open_store=open_store)
        self._watch_stop(loop)

        def fenced(reason: str) -> None:
            _tell(loop, self._break, DriverLost(reason))

        def broken(reason: str) -> None:
            _tell(loop, self._break, RuntimeError(reason))

        self._keeper = Keeper(on_broken=broken)
        self._look_who_waits()
        with Pacemaker(self._row, on_fenced=fenced, not_called=lambda: self._not_called), self._keeper:
            async with ProcessPool() as processes, bell.Listener("driver", lambda _: self._attention.set()):
                self._services = Services(
                    caller=Caller(pool, processes),
                    committer=committer,
                    store=self._store,
                    on_over=self._let_go,
                    on_tried=self._attention.set,
                )
                await self._work(pool)
                await self._drain()
        committer.close()
        pool.close()
        if self._broken is not None:
            raise self._broken

    # ---- working

    async def _work(self, pool: DaemonPool) -> None:
        while not self._stopping.is_set():
            self._attention.clear()
            try:
                self._deliver_mail()
                self._release_strays()
                self._claim()
            except StoreBusy:  # with SQLite an everyday thing: somebody else is about to be done
                asyncio.get_running_loop().call_later(INLINE_BUSY_TIMEOUT_S, self._attention.set)
            except StoreError as error:
                logger.warning("Cannot look for work: %s", error)
                self._look_for_strays_at = 0.0
            if pool.abandoned > settings.WORKFLOW.max_abandoned_threads:
                logger.error("%d threads are stuck in tools; this driver ends to be replaced.", pool.abandoned)
                return
            await self._wait_for_attention()

    async def _wait_for_attention(self) -> None:
        try:
            async with asyncio.timeout(settings.WORKFLOW.poll_interval_s):
                await self._attention.wait()
        except TimeoutError:
            pass

    def _claim(self) -> None:
        now = datetime.now(UTC)
        room = self._room()
        if room <= 0:
            return
        try:
            claimed = self._store.claim(driver_id=self._row.pk, limit=room, now=now, quarantine=self._row.quarantine)
        except DriverGone as error:  # before its own next beat could tell
            self._break(DriverLost(str(error)))
            return
        for run in claimed:
            task = asyncio.get_running_loop().create_task(self._adopt(run))
            self._adopting[task] = run.id
            task.add_done_callback(self._adopted)

    def _room(self) -> int:
        """How many runs it may claim; in quarantine the next one when those before it have been tried."""
        room = self._capacity - len(self._held) - len(self._adopting)
        if not self._row.quarantine:
            return room
        is_trying = self._adopting or any(execution.is_on_trial for execution in self._held.values())
        return 0 if is_trying else min(room, 1)

    def _release_strays(self) -> None:
        """Hand back the runs of a claim that was made although its answer was lost.

        Looked for at once after a failure, and for ever: the server may make the claim long after the connection broke.
        """
        now = asyncio.get_running_loop().time()
        if now < self._look_for_strays_at:
            return
        known = {*self._held, *self._adopting.values()}
        strays = self._store.release(driver_id=self._row.pk, but=known, now=datetime.now(UTC))
        if strays:
            logger.warning("The database holds %d runs for this driver that it did not know of.", strays)
        self._look_for_strays_at = now + settings.WORKFLOW.beat_interval_s

    async def _adopt(self, run: ClaimedRun) -> None:
        try:
            await self._take_up(run)
        except Exception as error:  # a task that fails says so only when it is collected
            logger.exception("Run %s could not be taken up.", run.uuid)
            self._break(error)

    def _adopted(self, task: asyncio.Task[None]) -> None:
        del self._adopting[task]
        self._attention.set()

    async def _take_up(self, run: ClaimedRun) -> None:
        """Begin as soon as the database answers. A run that a driver has not begun when it stops is handed back."""
        while not self._stopping.is_set():
            try:
                execution = await adopt(run, self._store, self._services)
                mail = _with_one_migration(self._store.unread_mail([run.id]))
                if execution is not None:
                    await find_versions(execution, mail)
            except StoreError as error:
                logger.warning("Run %s waits for the database: %s", run.uuid, error)
                await asyncio.sleep(RETRY_S)
                continue
            if execution is not None and not self._stopping.is_set():
                self._held[run.id] = execution
                execution.begin(mail)
            return

    def _deliver_mail(self) -> None:
        if self._held:
            for mail in self._store.unread_mail(self._held):
                if mail.kind == letters.MIGRATE:
                    self._held[mail.run_id].make_way(mail)
                else:
                    self._held[mail.run_id].receive(mail)

    def _let_go(self, execution: Execution) -> None:
        if self._held.get(execution.run.id) is execution:  # and not the next one: it may claim a run that it just left
            del self._held[execution.run.id]
        self._keeper.run_ended()
        self._attention.set()

    def _look_who_waits(self) -> None:
        """Have the next beat tell which steps are not called yet: nobody else can know."""
        waiting = ((str(run), execution.not_called()) for run, execution in self._held.items())
        self._not_called = {run: steps for run, steps in waiting if steps}
        asyncio.get_running_loop().call_later(settings.WORKFLOW.beat_interval_s, self._look_who_waits)

    # ---- stopping

    def _watch_stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop see `stop`, which may be an event of another process, through a thread that waits for it."""

        def wait() -> None:
            while not self._stop.wait(STOP_POLL_S):
                if loop.is_closed():
                    return
            _tell(loop, self._begin_stop)

        threading.Thread(target=wait, name="stop", daemon=True).start()

    def _begin_stop(self) -> None:
        self._stopping.set()
        self._attention.set()

    def _on_bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        self._break(context.get("exception") or RuntimeError(context["message"]))

    def _break(self, error: BaseException) -> None:
        """Stop without writing another word: the runs held here are taken over."""
        self._broken = self._broken or error
        self._services.committer.fence()
        for execution in list(self._held.values()):
            execution.abandon()
        self._begin_stop()

    async def _drain(self) -> None:
        try:
            await asyncio.to_thread(_announce_end, self._row)
        except django.db.Error as error:  # it only keeps others from counting on this driver
            logger.warning("Nobody could be told that this driver ends: %s", error)
        for execution in list(self._held.values()):
            execution.drain()
        if not await self._all_let_go(settings.WORKFLOW.stop_grace_s):
            for execution in list(self._held.values()):
                execution.give_back()
            await self._all_let_go(settings.WORKFLOW.stop_grace_s)

    async def _all_let_go(self, within_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + within_s
        while self._held or self._adopting:
            self._attention.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._attention.wait()
            except TimeoutError:
                return False
        return True


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., object], *arguments: Any) -> None:
    """Call it on the loop, from another thread; of a driver that has ended meanwhile, the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *arguments)


def _with_one_migration(mail: list[Mail]) -> list[Mail]:
    """The first migration before all else, which may start steps, and no other one: these would know other names."""
    migrations = [letter for letter in mail if letter.kind == letters.MIGRATE]
    return [*migrations[:1], *(letter for letter in mail if letter.kind != letters.MIGRATE)]


def _announce_end(row: DriverRow) -> None:
    try:
        registration.mark_draining(row)
    finally:
        connections.close_all()  # this thread is lent; nobody would look after its connection
