"""Atomic tools: what a tool writes, its update and the move to the next node, in one transaction.

The tool's thread and the event loop take turns:

1. The thread opens a transaction on its Django connection and calls the tool.
2. It hands the value to the loop, which settles the step and gives back the run's write.
3. The thread writes that over the same connection and commits, and tells the loop.

From 2 to 3 the run makes no other write, since this one is the next in its journal. On SQLite that holds from 1 on: the
transaction has the only write lock, so another write of the run could not be made, and this one not before it.

Whatever ends the call before 2 rolls the transaction back. A call that is given up meanwhile is fenced: its transaction
is rolled back from outside, which frees the locks, and its tool can ask the database nothing more.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from django.db import IntegrityError, connection, connections, transaction

from runs import bell
from runs.driver.invoke import Call, Finished
from runs.driver.threads import DaemonPool, Job
from runs.engine.decisions import StartStep
from runs.store import RunWrite
from runs.store.base import join_transaction
from runs.store.mail import atomic_step_of, post_undone
from tools.parts import NotWanted

if TYPE_CHECKING:
    from runs.driver.calls import Order

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """The run of an atomic call, on the event loop."""

    turns: Turns

    def conclude(self, start: StartStep, finished: Finished) -> RunWrite | None:
        """Take in how the call ended. Return what is to be written now; None if the step has not completed."""

    def sealed(self, write: RunWrite, error: BaseException | None) -> None:
        """What `conclude` gave is on disk, or was rolled back because of `error`."""


class NotCompleted(Exception):
    """What the tool did is undone, since its step has not completed."""


class LeaseLost(Exception):
    """Another driver owns the run."""


class Turns:
    """Who alone writes to a run: one atomic call after the other, never while a write is on its way."""

    def __init__(self, *, is_free: Callable[[], bool], on_free: Callable[[], None]) -> None:
        """`is_free` says that no write is on its way; `on_free` is told when everybody may write again."""
        self._is_free = is_free
        self._on_free = on_free
        self._holder: object | None = None
        self._waiting: deque[tuple[object, Callable[[], None]]] = deque()

    @property
    def is_taken(self) -> bool:
        return self._holder is not None

    def take(self, who: object, granted: Callable[[], None]) -> None:
        """Call `granted` as soon as it is the turn of `who`, at once if it is."""
        if self._holder is who:
            granted()
        else:
            self._waiting.append((who, granted))
            self.go_on()

    def release(self, who: object) -> None:
        """It needs no turn, or none any more."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] is not who)
        if self._holder is who:
            self._holder = None
            self.go_on()
            self._on_free()

    def go_on(self) -> None:
        """The write that was on its way has arrived."""
        if self._waiting and self._holder is None and self._is_free():
            self._holder, granted = self._waiting.popleft()
            granted()


class Transaction:
    """The transaction of one call, which another thread may end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raw: Any = None
        """The driver's connection, while the tool may use it."""
        self._is_fenced = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """For the tool's thread. Raises NotWanted if it was fenced before."""
        with transaction.atomic(durable=True), connection.execute_wrapper(self._guarded):
            with self._lock:
                if self._is_fenced:
                    raise _not_wanted()
                self._raw = connection.connection
            try:
                yield
            finally:
                with self._lock:
                    self._raw = None

    def fence(self) -> None:
        """Roll back, as soon as the statement under way is over; let the tool make no other."""
        with self._lock:
            self._is_fenced = True
            if self._raw is not None:
                self._raw.rollback()

    def _guarded(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
    ) -> Any:
        with self._lock:
            if self._is_fenced:
                raise _not_wanted()
            return execute(sql, params, many, context)


class AtomicCall:
    """One call of an atomic tool. `work` is the thread's side; all else belongs to the event loop."""

    def __init__(self, order: Order, owner: Owner, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = order.start
        self._call: Call = order.call
        self._owner = owner
        context = contextvars.copy_context()
        context.run(atomic_step_of.set, order.run.id)
        self._function = partial(context.run, function, **arguments)
        self._transaction = Transaction()

    def work(self) -> None:
        """Call the tool and commit."""
        write: RunWrite | None = None
        error: BaseException | None = None
        try:
            if has_one_writer():
                self._ask(self._take_turn)
            with self._transaction.open():
                self._call.begin()
                value = self._function()
                _check_constraints()
                write = self._ask(partial(self._hand_over, value))
                if write is None:
                    raise NotCompleted
                if not join_transaction(write):
                    raise LeaseLost("Another driver owns the run.")
            bell.ring_watchers(write.run_id, write.seq)
            if write.released_locks:
                bell.ring_drivers()
        except BaseException as raised:
            error = raised
        if write is not None and isinstance(error, IntegrityError):
            post_undone(write.run_id, step=self._start.step, attempt=self._start.attempt, error=error)
        for each in connections.all(initialized_only=True):
            each.close_if_unusable_or_obsolete()
        with suppress(RuntimeError):  # the driver has ended, which gave the call up
            self._loop.call_soon_threadsafe(self._end, write, error)

    def withdraw(self, pool: DaemonPool, job: Job) -> None:
        """Nobody wants the outcome: undo what the tool has done, and leave its thread alone."""
        pool.abandon(job)
        pool.submit(self._transaction.fence)
        self._owner.turns.release(self)

    def _ask(self, on_loop: Callable[[Future[Any]], None]) -> Any:
        """Have the loop answer. Raises NotWanted if the call is given up."""
        answer: Future[Any] = Future()
        self._loop.call_soon_threadsafe(on_loop, answer)
        return answer.result()

    def _take_turn(self, answer: Future[None]) -> None:
        self._call.await_record(answer)
        if not self._call.over:
            self._owner.turns.take(self, partial(answer.set_result, None))

    def _hand_over(self, value: Any, answer: Future[RunWrite | None]) -> None:
        self._call.await_record(answer)
        if not self._call.over:
            self._owner.turns.take(self, partial(self._settle, value, answer))

    def _settle(self, value: Any, answer: Future[RunWrite | None]) -> None:
        # In this order: the call's end releases all that still waits for the loop.
        finished = self._call.conclude(value, waiting=answer)
        answer.set_result(self._owner.conclude(self._start, finished))

    def _end(self, write: RunWrite | None, error: BaseException | None) -> None:
        self._owner.turns.release(self)
        if write is not None:
            self._owner.sealed(write, error)
        elif error is not None:
            self._call.end(error)


def has_one_writer() -> bool:
    """Whether a transaction keeps everybody else from writing."""
    return connection.vendor == "sqlite"


def _check_constraints() -> None:
    """Fail now rather than at COMMIT, after which another driver has to. On SQLite that would read every table."""
    if not has_one_writer():
        connection.check_constraints()


def _not_wanted() -> NotWanted:
    return NotWanted("Nobody waits for the tool any more; what it did was rolled back.")
