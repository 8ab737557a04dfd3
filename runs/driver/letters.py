"""Mail: what a message asks of the run it was sent to. One table says which kinds there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from runs.engine.events import (
    BreakpointsSet,
    Failure,
    JsonObject,
    MapLimited,
    Outcome,
    RunMigrated,
    RunReopened,
    RunResumed,
    StateEdited,
    StepId,
    StepReleased,
)
from runs.store import locks, takeover
from runs.store import mail as mailbox
from runs.store.base import Mail

if TYPE_CHECKING:
    from runs.driver.waiting import Waiting
MIGRATE = "migrate"
"""The kind that a run takes in only as its driver begins with it, when no tool is under way."""


class Recipient(Protocol):
    """The run that takes the message in."""

    waiting: Waiting

    def crashed(self, step: StepId, crashes: int) -> Outcome:
        """The outcome of a step that has killed so many workers."""

    def undone(self, step: StepId, attempt: int, error: Failure) -> Outcome:
        """The outcome of an attempt whose transaction the database refused."""

    def lock_came(self, step: StepId) -> Outcome | None:
        """The outcome of a step that holds the lock it waited for; None if it waits for it no more, or not yet."""

    def cancelled(self, reason: str, graceful: bool) -> Outcome:
        """The outcome of a cancel."""

    def paused(self, reason: str) -> Outcome:
        """The outcome of a pause, which holds what was given out and not called yet."""

    def migrated(self, migration: RunMigrated, version_id: int) -> Outcome:
        """The outcome of a migration. Raises MailRefused with all that is in its way."""

    def edited(self, edit: StateEdited) -> Outcome:
        """The outcome of an edit. Raises MailRefused while tools of the run are under way."""


WITHOUT_EFFECT = "It came too late or asked for nothing new: the run is the same as without it."

Letter = Callable[[Recipient], Outcome | None]
"""A message that was understood: tells the outcome that it is to this run; None if there is nothing
for the engine in it, or not any more."""

SIGNAL, ANSWER, DELEGATED = "signal", "answer", "delegated"


class MailRefused(Exception):
    """The message cannot be understood, or not now; it says why in a sentence."""


def read(mail: Mail) -> Letter:
    """Understand a message. Raises MailRefused for a kind that is not known here or a payload that is none of it."""
    reader = _READERS.get(mail.kind)
    if reader is None:
        raise MailRefused(f"This release knows no mail of the kind {mail.kind!r}.")
    try:
        return reader(json.loads(mail.payload))
    except (ValueError, LookupError, TypeError) as error:
        raise MailRefused(f"The payload is not that of mail of the kind {mail.kind!r}: {error!r}.") from error


def _always(outcome: Outcome) -> Letter:
    return lambda run: outcome


def _cancel(payload: JsonObject) -> Letter:
    reason, graceful = str(payload["reason"]), bool(payload.get("graceful", False))
    return lambda run: run.cancelled(reason, graceful)


def _pause(payload: JsonObject) -> Letter:
    reason = str(payload["reason"])
    return lambda run: run.paused(reason)


def _resume(payload: JsonObject) -> Letter:
    return _always(RunResumed())


def _step(payload: JsonObject) -> Letter:
    mode = payload["mode"]
    if mode not in ("into", "over", "out"):
        raise ValueError(mode)
    return _always(StepReleased(steps=_steps(payload), mode=mode))


def _breakpoints(payload: JsonObject) -> Letter:
    return _always(BreakpointsSet(breakpoints=tuple(payload["breakpoints"])))


def _edit(payload: JsonObject) -> Letter:
    within = payload.get("within")
    edit = StateEdited(
        values=dict(payload["values"]),
        delete=tuple(payload["delete"]),
        within=None if within is None else bytes.fromhex(within),
    )
    return lambda run: run.edited(edit)


def _migrate(payload: JsonObject) -> Letter:
    mapping = {str(old): str(new) for old, new in payload["mapping"].items()}
    migration = RunMigrated(version=payload["version"], digest=payload["digest"], mapping=mapping)
    version_id = int(payload["version_id"])
    return lambda run: run.migrated(migration, version_id)


def _retry(payload: JsonObject) -> Letter:
    return _always(RunReopened(steps=_steps(payload)))


def _limit(payload: JsonObject) -> Letter:
    limit = payload["max_parallel"]
    return _always(MapLimited(step=bytes.fromhex(payload["step"]), max_parallel=None if limit is None else int(limit)))


def _crashed(payload: JsonObject) -> Letter:
    step, crashes = bytes.fromhex(payload["step"]), int(payload["crashes"])
    return lambda run: run.crashed(step, crashes)


def _undone(payload: JsonObject) -> Letter:
    step, attempt = bytes.fromhex(payload["step"]), int(payload["attempt"])
    error = Failure(type=str(payload["type"]), message=str(payload["message"]))
    return lambda run: run.undone(step, attempt, error)


def _steps(payload: JsonObject) -> tuple[StepId, ...]:
    return tuple(bytes.fromhex(step) for step in payload["steps"])


def _signal(payload: JsonObject) -> Letter:
    name = payload.get("name")

    def look(run: Recipient) -> None:
        run.waiting.look(name)

    return look


def _answer(payload: JsonObject) -> Letter:
    step, task, answers = bytes.fromhex(payload["step"]), str(payload["task"]), list(payload["answers"])
    return lambda run: run.waiting.answered(step, task, answers)


def _delegated(payload: JsonObject) -> Letter:
    step, task, assignees = bytes.fromhex(payload["step"]), str(payload["task"]), dict(payload["assignees"])
    return lambda run: run.waiting.delegated(step, task, assignees)


def _lock_came(payload: JsonObject) -> Letter:
    step = bytes.fromhex(payload["step"])
    return lambda run: run.lock_came(step)


_READERS: dict[str, Callable[[JsonObject], Letter]] = {
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "step": _step,
    "breakpoints": _breakpoints,
    "edit": _edit,
    MIGRATE: _migrate,
    "retry": _retry,
    "limit": _limit,
    takeover.CRASHED: _crashed,
    mailbox.UNDONE: _undone,
    SIGNAL: _signal,
    ANSWER: _answer,
    DELEGATED: _delegated,
    locks.GRANTED: _lock_came,
}
"""By kind. A reader takes all it needs from the payload at once, so that what is wrong with it is found here."""
