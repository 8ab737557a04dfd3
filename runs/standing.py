"""How a run stands when its driver has read its mail, and what it allows then.

A rule raises RunFinished or ControlConflict, whose sentence says how the run stands and who brought it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphs.errors import GraphsError
from runs.engine import RunState
from runs.engine.branches import Branch, Cause
from runs.errors import ControlConflict, ControlInvalid, JournalDamaged, RunFinished
from runs.history import CANCELLED, PAUSED, Deed, newest_deed, was_undone
from runs.models import Mailbox, Run
from runs.selectors import engine_state
from tools.errors import Detail
from tools.strict_json import pointer

_DID = {
    "pause": "paused it",
    "resume": "resumed it",
    "step": "let a step go on",
    "breakpoints": "set its breakpoints",
    "edit": "edited its state",
    "retry": "tried it again",
    "limit": "limited a map of it",
    "cancel": "cancelled it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A run as it will be when its driver has read its mail."""

    run: Run
    status: str
    unread: tuple[Mailbox, ...]

    def newest(self, *kinds: str) -> Deed | None:
        """The newest unread message of these kinds."""
        mail = next((mail for mail in reversed(self.unread) if mail.kind in kinds), None)
        return None if mail is None else Deed(who=mail.actor, what=_DID[mail.kind], at=mail.created_at)


def standing_of(run: Run) -> Standing:
    unread = tuple(Mailbox.objects.filter(run=run, consumed_at=None, kind__in=_DID).order_by("id"))
    status = run.status
    for mail in unread:
        if status in Run.TERMINAL:
            status = Run.Status.RUNNING if mail.kind == "retry" and status == Run.Status.FAILED else status
        elif mail.kind == "pause":
            status = Run.Status.PAUSED
        elif mail.kind == "resume":
            status = Run.Status.RUNNING
    return Standing(run=run, status=status, unread=unread)


def state_to_change(run: Run, seq: int | None = None) -> RunState:
    """What the engine knows after the event `seq`, or the newest one, of a run with which somebody wants to go on.

    Raises ControlConflict for one that no driver could go on with.
    """
    try:
        return engine_state(run, seq)
    except (JournalDamaged, GraphsError) as error:
        raise ControlConflict("run-damaged", f"Run {run.uuid} cannot be driven any more: {error}") from error


def need_alive(standing: Standing) -> None:
    if standing.status in Run.TERMINAL:
        raise RunFinished(standing.run.uuid, standing.status)
    at_once = next(
        (mail for mail in standing.unread if mail.kind == "cancel" and '"graceful":false' in mail.payload), None
    )
    if at_once is not None:
        deed = Deed(who=at_once.actor, what=_DID["cancel"], at=at_once.created_at)
        raise conflict(standing, "run-cancelling", "is being cancelled", deed)


def need_not_final(standing: Standing) -> None:
    if standing.status != Run.Status.FAILED:
        need_alive(standing)


def need_paused(standing: Standing) -> None:
    need_alive(standing)
    if standing.status != Run.Status.PAUSED:
        raise conflict(standing, "run-not-paused", f"is {standing.status}, not paused", standing.newest("resume"))


def need_not_undone(standing: Standing) -> None:
    if was_undone(standing.run):
        raise conflict(standing, "run-undone", "has undone what it did, or is about to; start a new run", None)


def need_resolved(standing: Standing, branches: Iterable[Branch]) -> None:
    chosen = [branch.frozen for branch in branches if branch.frozen is not None]
    keys = sorted({key for frozen in chosen for key in frozen.unresolved})
    if keys and all(frozen.unresolved or frozen.cause is Cause.ITEMS for frozen in chosen):
        what = f"waits for an edit of {', '.join(keys)}, which its branches wrote in conflict"
        raise conflict(standing, "conflict-unresolved", what, None)


def refuse_unknown(steps: Sequence[str], known: Iterable[str], message: str, at: tuple[str, ...] = ("steps",)) -> None:
    unknown = [step for step in steps if step not in known]
    if unknown:
        raise ControlInvalid(
            [Detail(path=pointer(*at), code="unknown-step", message=f"{message}: {step[:20]}.") for step in unknown]
        )


def conflict(standing: Standing, code: str, what: str, deed: Deed | None) -> ControlConflict:
    """A sentence that says how the run stands, and who brought it there."""
    cause = f" ({deed.words})" if deed else ""
    return ControlConflict(code, f"Run {standing.run.uuid} {what}{cause}; nothing was changed.")


def pauser(standing: Standing) -> Deed | None:
    return newest_deed(standing.run, PAUSED)


def canceller(standing: Standing) -> Deed | None:
    return newest_deed(standing.run, CANCELLED)
