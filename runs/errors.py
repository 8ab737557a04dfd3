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


class InitialStateInvalid(RunsError):
    """The initial state is refused; `details` has one entry for each bad value."""

    code = "initial-state-invalid"

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(f"The initial state does not fit the graph: {details[0].message}")
        self.details = tuple(details)


class IdempotencyConflict(RunsError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency-conflict"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The idempotency key {key!r} already started a run of another version or with another state. "
            "Use a new key for a new request."
        )


class StoreError(RunsError):
    """The database did not take a write. The write may be tried again."""

    code = "store-unavailable"


class StoreBusy(StoreError):
    """Another process holds SQLite's write lock."""

    code = "store-busy"


class JournalDamaged(RunsError):
    """The journal of a run cannot be folded."""

    code = "journal-damaged"
