"""What can go wrong with runs. Domain errors know nothing of HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from tools.errors import Detail


class RunsError(Exception):
    """Base of this app's errors. `code` is stable; the message is a sentence for the caller."""

    code = "run-error"


class RunFinished(RunsError):
    """A control verb came too late."""

    code = "run-finished"

    def __init__(self, run_uuid: object, status: str) -> None:
        super().__init__(f"Run {run_uuid} is already {status}; nothing was changed.")
        self.status = status


class ForkRefused(RunsError):
    """No run can begin with the state that was asked for."""

    code = "fork-refused"

    def __init__(self, run_uuid: object, seq: int, why: str) -> None:
        super().__init__(f"Run {run_uuid} cannot be forked at event {seq}: {why}. Fork it at another event.")


class MigrationRefused(RunsError):
    """A run cannot be moved to another version; `details` has each reason. Nothing was changed."""

    code = "migration-refused"

    def __init__(self, version: object, details: Sequence[Detail]) -> None:
        more = f" And {len(details) - 1} more." if len(details) > 1 else ""
        super().__init__(f"The run cannot be migrated to {version}: {details[0].message}{more}")
        self.details = tuple(details)


class RunNotFinished(RunsError):
    """What was asked for needs a run that is over."""

    code = "run-not-finished"

    def __init__(self, run_uuid: object, status: str, advice: str) -> None:
        super().__init__(f"Run {run_uuid} is still {status}; {advice}.")
        self.status = status


class ControlConflict(RunsError):
    """A control verb that the run, or what somebody asked of it before, does not allow. `code` says which."""

    code = "control-conflict"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ControlInvalid(RunsError):
    """What a control verb brings along is refused; `details` has one entry for each complaint."""

    code = "control-invalid"

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(f"The request does not fit the run: {details[0].message}")
        self.details = tuple(details)


class InitialStateInvalid(RunsError):
    """The initial state is refused; `details` has one entry for each bad value."""

    code = "initial-state-invalid"

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(f"The initial state does not fit the graph: {details[0].message}")
        self.details = tuple(details)


class IdempotencyConflict(RunsError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency-conflict"

    def __init__(self, key: str, did: str = "came with another request") -> None:
        super().__init__(f"The idempotency key {key!r} already {did}. Use a new key for a new request.")


class TooManySignals(RunsError):
    """Nobody takes the signals that are kept for a run or a business key."""

    code = "too-many-signals"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} signals are kept already for this run or business key; wait until some are taken.")


class WebhookUrlRefused(RunsError):
    """No webhook may go there."""

    code = "webhook-url-refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.details = (Detail(path="/webhook/url", code=self.code, message=reason),)


class NoWebhook(RunsError):
    """The run was started without one."""

    code = "no-webhook"

    def __init__(self, run_uuid: object) -> None:
        super().__init__(f"Run {run_uuid} has no webhook; one is given when a run is started.")


class TaskClosed(RunsError):
    """Somebody was quicker, or the task is not wanted any more."""

    code = "task-closed"

    def __init__(self, uuid: object, status: str, by: Sequence[str]) -> None:
        who = f" by {' and '.join(by)}" if by and status == "answered" else ""
        super().__init__(f"Task {uuid} is {status} already{who}; nothing was changed.")
        self.by = tuple(by)


class AlreadyAnswered(RunsError):
    """Everybody has one answer."""

    code = "already-answered"

    def __init__(self, uuid: object, name: str) -> None:
        super().__init__(f"{name} has answered task {uuid} already; it waits for the answers of others.")


class NotAssigned(RunsError):
    """Somebody else is asked."""

    code = "not-assigned"

    def __init__(self, uuid: object) -> None:
        super().__init__(f"Task {uuid} is assigned to others. Ask one of them, or an editor, to delegate it to you.")


class AnswerInvalid(RunsError):
    """The answer is not what the form asks for; `details` has one entry for each bad value."""

    code = "answer-invalid"

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(f"The answer does not fit the form: {details[0].message}")
        self.details = tuple(details)


class DelegateUnknown(RunsError):
    """A task is to be handed to somebody who is not there."""

    code = "delegate-unknown"

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(f"The task cannot be delegated: {details[0].message}")
        self.details = tuple(details)


class KeyUsedBefore(IdempotencyConflict):
    """The same Idempotency-Key came to this run with another verb or another body."""

    def __init__(self, key: str) -> None:
        RunsError.__init__(
            self,
            f"The idempotency key {key!r} was sent to this run before, with another request. "
            "Use a new key for a new request.",
        )


class RunConflict(RunsError):
    """Another run is under way, and the start is not to go on beside it."""

    code = "run-conflict"

    def __init__(self, running: object) -> None:
        super().__init__(f"Run {running} is under way, so nothing was started. Wait for its end, or cancel it.")
        self.details = (Detail(path="", code="running", message=str(running)),)


class BusinessKeyMissing(RunsError):
    """A start says what to do about runs with the same business key, and has none."""

    code = "business-key-missing"

    def __init__(self, on_conflict: str) -> None:
        message = f"Give a business_key: on_conflict {on_conflict!r} is about runs with the same one."
        super().__init__(message)
        self.details = (Detail(path="/business_key", code=self.code, message=message),)


class StoreError(RunsError):
    """The database did not take a write. The write may be tried again."""

    code = "store-unavailable"


class StoreBusy(StoreError):
    """Another process holds SQLite's write lock."""

    code = "store-busy"


class StoreLocked(StoreError):
    """Another transaction holds a row of one of the runs, on PostgreSQL. Writes of other runs may be taken."""

    code = "store-locked"


class DriverGone(RunsError):
    """A driver claims runs although others took it for dead: its row is gone."""

    code = "driver-gone"

    def __init__(self, driver_id: int) -> None:
        super().__init__(f"The runs of driver {driver_id} were taken over by others, and it can claim no more.")


class OwnRun(RunsError):
    """An atomic tool cannot ask anything of its own run, whose next write waits for the end of its transaction."""

    code = "own-run"

    def __init__(self, run_uuid: object) -> None:
        super().__init__(
            f"An atomic tool of run {run_uuid} cannot change that run: its driver would wait for the tool's "
            "transaction, and the tool for its driver. Let another step of the run do it, one that is not atomic."
        )


class JournalDamaged(RunsError):
    """The journal of a run cannot be folded. All before `seq` can; 0 if nothing can be said of that."""

    code = "journal-damaged"

    def __init__(self, message: str, *, seq: int = 0) -> None:
        super().__init__(message)
        self.seq = seq
