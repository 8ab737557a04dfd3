"""Nodes with `lock`: what a step does before its tool may be called (`runs.engine.locks`).

A step that finds its lock held waits for a message, as for a signal, and occupies nothing. Since the message may
arrive before the journal says that the step waits, a step that begins to wait, or is taken over while it does, looks
once more whether the lock is its own by now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import django.db

from runs.driver.invoke import Call
from runs.driver.lending import in_thread
from runs.engine.branches import Branch
from runs.engine.events import StepId
from runs.engine.locks import callers_of, name_of
from runs.store import ClaimedRun
from runs.store.locks import take_lock

logger = logging.getLogger(__name__)

RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class LockBusy:
    """In place of a result: the step has to wait for the lock of this name, which `holder` needs."""

    name: str
    holder: StepId


async def take_first(
    call: Call,
    run: ClaimedRun,
    lockers: Sequence[Branch],
    on_held: Callable[[StepId], None],
    go_on: Callable[[], None],
) -> None:
    """Take the locks of all `lockers` and go on; or end `call` with LockBusy.

    `on_held` is told of each that is taken. Raises what is wrong with a name.
    """
    for branch in lockers:
        name = name_of(branch)
        if not await _take(run, branch, name):
            call.pass_on(LockBusy(name, branch.id))
            return
        on_held(branch.id)
    go_on()


async def look_again(call: Call, run: ClaimedRun, branch: Branch, name: str) -> None:
    """End `call` with whether the lock that the step waits for is its own by now."""
    call.pass_on(await _take(run, branch, name))


async def _take(run: ClaimedRun, branch: Branch, name: str) -> bool:
    """Asks until the database answers: a step does not fail because that is away for a moment."""
    while True:
        try:
            return await in_thread(
                take_lock,
                organization_id=run.organization_id,
                name=name,
                run_id=run.id,
                step=branch.id,
                within=callers_of(branch),
            )
        except django.db.Error as error:
            logger.warning("The lock %r cannot be taken now: %s", name, error)
            await asyncio.sleep(RETRY_S)
