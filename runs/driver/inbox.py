"""What the mail to one run is to it.

Each message is taken in once, however often it is delivered before it is committed as read. Most say by themselves what
they are to the engine; here is the answer to those that depend on what the driver does for the run at the moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from runs.driver import letters
from runs.driver.breakpoints import Breakpoints
from runs.driver.driven import Driven
from runs.driver.places import Places
from runs.driver.rest import Rest
from runs.driver.waiting import Waiting
from runs.engine import is_in_flight, plan_migration
from runs.engine.events import Failure, Outcome, RunCancelled, RunMigrated, RunPaused, StateEdited, StepId
from runs.engine.locks import lock_came
from runs.models import Run
from runs.store.base import Mail

logger = logging.getLogger(__name__)


class Inbox:
    """Takes in the mail of one run; its `Recipient`. Belongs to the event loop's thread."""

    def __init__(
        self,
        driven: Driven,
        *,
        waiting: Waiting,
        places: Places,
        breakpoints: Breakpoints,
        rest: Rest,
        apply: Callable[[Outcome, Mail], None],
        commit_soon: Callable[[], None],
    ) -> None:
        """`apply` feeds an outcome to the engine with the message that brought it."""
        self.waiting = waiting
        self._run = driven.run
        self._state = driven.state
        self._journal = driven.journal
        self._settler = driven.settler
        self._places = places
        self._breakpoints = breakpoints
        self._calls = driven.calls
        self._rest = rest
        self._apply = apply
        self._commit_soon = commit_soon
        self._received: set[int] = set()

    def take_in(self, mail: Mail) -> None:
        """Let the message have its effect, or refuse it. A run that is over leaves it to the next driver."""
        if self._state.status in Run.FINAL or mail.id in self._received:
            return
        self._received.add(mail.id)
        try:
            outcome = letters.read(mail)(self)
        except letters.MailRefused as refused:
            self.refuse(mail, str(refused))
        else:
            if outcome is None:
                self._journal.note(mail)
                self._commit_soon()
            else:
                self._apply(outcome, mail)

    def has_taken_in(self, mail: Mail) -> bool:
        """Whether it had its effect, of which the database may not know yet."""
        return mail.id in self._received

    def refuse(self, mail: Mail, reason: str) -> None:
        """Take in the message without effect, and tell why."""
        logger.warning("Run %s refuses mail %d: %s", self._run.uuid, mail.id, reason)
        self._journal.refuse(mail, reason)
        self._commit_soon()

    # ---- what letters ask

    def crashed(self, step: StepId, crashes: int) -> Outcome:
        """The outcome of a step that killed its workers: none any more when an earlier message has ended it."""
        attempt = self._journal.row(step).attempt if is_in_flight(self._state, step) else 0
        return self._settler.crash(self._state, step, attempt, crashes)

    def undone(self, step: StepId, attempt: int, error: Failure) -> Outcome:
        """The outcome of an attempt whose transaction the database refused."""
        return self._settler.undone(self._state, step, attempt, error)

    def lock_came(self, holder: StepId) -> Outcome | None:
        """The outcome of a step that waited for the lock that `holder` has; None if none waits any more, or yet."""
        outcome = lock_came(self._state, holder)
        if outcome is not None:
            self.waiting.end(outcome.step)
            self._breakpoints.let_pass(outcome.step)  # they held it, if they were to, before it queued up
        return outcome

    def cancelled(self, reason: str, graceful: bool) -> Outcome:
        """The outcome of a cancel, which is at once if nothing was called yet."""
        was_called = not self._run.queued and (self._rest.begun or self._run.epoch > 1)
        return RunCancelled(reason=reason, graceful=graceful and was_called)

    def paused(self, reason: str) -> Outcome:
        """The outcome of a pause, which holds what was given out and not called yet."""
        given_out = (*self._journal.starts(), *self._places.waiting())
        return RunPaused(reason=reason, held=tuple(dict.fromkeys(given_out)))

    def migrated(self, migration: RunMigrated, version_id: int) -> Outcome:
        """The outcome of a migration, which goes with the run's new version. Raises MailRefused."""
        plan = self._state.plans.get(migration.digest)
        if plan is None:
            raise letters.MailRefused(f"The version {migration.version} cannot be read.")
        obstacles = plan_migration(self._state, plan, migration.mapping).obstacles
        if obstacles:
            raise letters.MailRefused(" ".join(one.message for one in obstacles))
        self._journal.gather().write.version_id = version_id
        return migration

    def edited(self, edit: StateEdited) -> Outcome:
        """The outcome of an edit, which no tool under way may miss. Raises MailRefused."""
        if self._calls:
            raise letters.MailRefused("Tools of the run are under way; wait until the run is paused, then edit.")
        self._settler.forget_sizes()
        return edit
