"""Changing runs that were started: one service a verb.

A verb does not touch the run: it leaves a message in the mailbox, which the run's driver takes in, in order (see
`runs.driver.letters`). Whether a verb is let in is decided here, under a lock on the run's row, so that of two people
who press the same button one wins and the other is told who was first. What decides is the run's status and the mail
that nobody has read yet, as if it had been read; where that needs more of the run, its state is folded beforehand. The
driver has the last word: what comes too late for it is refused in the journal.

Every service is audited, and idempotent by key: the same request with the same key is one message. Whether it was sent
before is looked up first, since by now the run may be over, or have other nodes and keys than it was sent for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.actor import Actor
from graphs.plan import Plan
from graphs.plans import nodes_within
from runs.breakpoints import check_breakpoints, complete_breakpoints
from runs.edits import check_edit
from runs.engine import RunState, preview
from runs.engine.failures import all_frozen
from runs.engine.pausing import held, under_way
from runs.errors import ControlConflict, ControlInvalid, KeyUsedBefore
from runs.history import was_undone
from runs.log import data_of
from runs.models import Event, Mailbox, Run
from runs.selectors import engine_state
from runs.services import wake_drivers
from runs.standing import (
    Standing,
    canceller,
    conflict,
    need_alive,
    need_not_final,
    need_not_undone,
    need_paused,
    need_resolved,
    pauser,
    refuse_unknown,
    standing_of,
    state_to_change,
)
from runs.store.mail import post
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json

MODES = ("into", "over", "out")
"""How a run can be stepped; see `step_run`."""
Rule = Callable[[Standing], None]
"""Raises ControlConflict or RunFinished for what the run does not allow now."""


def pause_run(*, run: Run, actor: Actor, reason: str = "", idempotency_key: str | None = None) -> Mailbox:
    """Start nothing new in the run; what is in flight goes on. Raises RunFinished and ControlConflict."""

    def rule(standing: Standing) -> None:
        need_alive(standing)
        if standing.status == Run.Status.PAUSED:
            raise conflict(standing, "run-paused", "is paused already", standing.newest("pause") or pauser(standing))

    return _Letter(run=run, kind="pause", payload={"reason": reason}, actor=actor, key=idempotency_key).send(
        rule, "run.paused"
    )


def resume_run(*, run: Run, actor: Actor, idempotency_key: str | None = None) -> Mailbox:
    """Let a paused run go on. Raises RunFinished and ControlConflict."""
    return _Letter(run=run, kind="resume", payload={}, actor=actor, key=idempotency_key).send(
        need_paused, "run.resumed"
    )


def step_run(
    *, run: Run, actor: Actor, mode: str = "into", steps: Sequence[str] = (), idempotency_key: str | None = None
) -> Mailbox:
    """Let these steps of a paused run go on, none named: all that it holds.

    `into` holds what follows at once, `over` behind the map or subgraph that such a step opens, `out` behind the map
    item or subgraph that the step is in. Raises RunFinished, ControlConflict, and ControlInvalid for a step that is not
    held.
    """
    letter = _Letter(
        run=run, kind="step", payload={"steps": list(steps), "mode": mode}, actor=actor, key=idempotency_key
    )
    if earlier := letter.sent_before():
        return earlier
    holds = {branch.id.hex() for branch in held(state_to_change(run))}

    def rule(standing: Standing) -> None:
        need_paused(standing)
        if not holds:
            raise conflict(standing, "nothing-held", "holds no step now", None)
        refuse_unknown(steps, holds, "The run holds no such step now")

    return letter.send(rule, "run.stepped")


def set_breakpoints(
    *, run: Run, actor: Actor, breakpoints: Sequence[Mapping[str, Json]], idempotency_key: str | None = None
) -> Mailbox:
    """Replace the run's breakpoints. Raises RunFinished, ControlConflict, and ControlInvalid for what they say."""
    payload: dict[str, Json] = {"breakpoints": complete_breakpoints(breakpoints)}
    letter = _Letter(run=run, kind="breakpoints", payload=payload, actor=actor, key=idempotency_key)
    if earlier := letter.sent_before():
        return earlier
    versions = filter(None, (run.version, run.begun_with))  # a subgraph may be open that the first one calls
    check_breakpoints(nodes_within(*versions), breakpoints)
    return letter.send(need_not_final, "run.breakpoints-set")


def edit_state(
    *,
    run: Run,
    actor: Actor,
    values: Mapping[str, Json],
    delete: Sequence[str] = (),
    within: str | None = None,
    seq: int | None = None,
    idempotency_key: str | None = None,
) -> Mailbox:
    """Change keys of the state of a paused or failed run (rule R16).

    `within` names the step whose subgraph's state is meant, `seq` the event after which the editor saw the state: if
    something happened since, nothing is changed. Raises RunFinished, ControlConflict and ControlInvalid.
    """
    payload = {"values": dict(values), "delete": list(delete), "within": within}
    letter = _Letter(run=run, kind="edit", payload=payload, actor=actor, key=idempotency_key)
    if earlier := letter.sent_before():
        return earlier
    state = state_to_change(run)
    _check_edit(run, state, values, delete, within)

    def rule(standing: Standing) -> None:
        need_not_final(standing)
        if standing.run.status != standing.status or standing.status not in (Run.Status.PAUSED, Run.Status.FAILED):
            raise conflict(
                standing, "run-not-paused", "goes on; pause it, then edit it", standing.newest("resume", "retry")
            )
        if standing.newest("step") or (standing.status == Run.Status.PAUSED and under_way(state)):
            deed = standing.newest("step")
            raise conflict(standing, "tools-under-way", "has tools under way; edit it when they have ended", deed)
        need_not_undone(standing)
        if seq is not None and seq != standing.run.seq:
            what = f"has come to event {standing.run.seq} since event {seq}; look at its state again"
            raise conflict(standing, "state-changed", what, None)

    told = {"values": sorted(values), "delete": sorted(delete), "within": within}  # a value may be a secret
    return letter.send(rule, "run.edited", told)


def retry_run(*, run: Run, actor: Actor, steps: Sequence[str] = (), idempotency_key: str | None = None) -> Mailbox:
    """Go on with these failed steps, none named: all of them. What has completed does not run again (rule R9).

    Raises RunFinished, ControlConflict, and ControlInvalid for a step that has not failed.
    """
    letter = _Letter(run=run, kind="retry", payload={"steps": list(steps)}, actor=actor, key=idempotency_key)
    if earlier := letter.sent_before():
        return earlier
    frozen = {branch.id.hex(): branch for branch, _ in all_frozen(state_to_change(run).root)}

    def rule(standing: Standing) -> None:
        need_not_final(standing)
        if standing.newest("retry") or not frozen:
            raise conflict(standing, "run-not-failed", "has no failed step to try again", standing.newest("retry"))
        need_not_undone(standing)
        refuse_unknown(steps, frozen, "The run has no such failed step")
        need_resolved(standing, [frozen[step] for step in steps or frozen])

    return letter.send(rule, "run.retried")


def limit_map(
    *, run: Run, actor: Actor, step: str, max_parallel: int | None, idempotency_key: str | None = None
) -> Mailbox:
    """Change how many items of an open map are under way at once; None: as many as there are.

    Raises RunFinished, ControlConflict, and ControlInvalid for a step that has no open map. Where the journal is behind
    its run, only the run's driver knows; if there is no such map it refuses the message.
    """
    letter = _Letter(
        run=run, kind="limit", payload={"step": step, "max_parallel": max_parallel}, actor=actor, key=idempotency_key
    )
    if earlier := letter.sent_before():
        return earlier
    known = None
    if not _is_behind(run):
        known = {branch.id.hex() for branch in state_to_change(run).branches.values() if branch.map is not None}

    def rule(standing: Standing) -> None:
        need_alive(standing)
        if known is not None:
            refuse_unknown([step], known, "The run has no open map of this step", at=("step",))

    return letter.send(rule, "run.map-limited")


def cancel_run(
    *, run: Run, actor: Actor, reason: str = "", graceful: bool = False, idempotency_key: str | None = None
) -> Mailbox:
    """End the run: at once, or gracefully, when what is in flight has ended (rule R23).

    Steps that can be undone are undone first. Raises RunFinished and ControlConflict.
    """

    def rule(standing: Standing) -> None:
        need_alive(standing)
        if was_undone(standing.run):
            raise conflict(standing, "run-undoing", "is undoing what it did, and then over", canceller(standing))
        if graceful and (before := standing.newest("cancel") or canceller(standing)):
            raise conflict(standing, "run-cancelling", "is being cancelled", before)

    payload: dict[str, Json] = {"reason": reason, "graceful": graceful}
    return _Letter(run=run, kind="cancel", payload=payload, actor=actor, key=idempotency_key).send(
        rule, "run.cancelled", many=not graceful
    )


def has_effect(mail: Mailbox) -> bool:
    """Whether the run has done what the message asks of it.

    A pause has when nothing is under way any more, a cancel when the run is over. Raises ControlConflict if the run's
    driver has refused the message.
    """
    mail.refresh_from_db()
    run = Run.objects.get(pk=mail.run_id)
    if mail.consumed_at is None:
        return run.status in Run.FINAL
    refusal = Event.objects.filter(run=run, type="MailRefused", seq=mail.consumed_seq or 0).first()
    if refusal is not None:
        raise ControlConflict("refused", f"Run {run.uuid} refused: {data_of(refusal.data).get('reason')}")
    match mail.kind:
        case "cancel":
            return run.is_terminal
        case "pause":
            return run.driver_id is None or run.is_terminal or not under_way(engine_state(run))
        case _:
            return True


# --------------------------------------------------------------------------- letting a message in


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """What somebody asks of a run."""

    run: Run
    kind: str
    payload: dict[str, Json]
    actor: Actor
    key: str | None

    def sent_before(self) -> Mailbox | None:
        """The message that was sent with this key. Raises KeyUsedBefore if it asks for something else."""
        if self.key is None:
            return None
        earlier = Mailbox.objects.filter(run=self.run, idempotency_key=self.key).first()
        if earlier and (earlier.kind, earlier.payload) != (self.kind, strict_json.dumps(self.payload)):
            raise KeyUsedBefore(self.key)
        return earlier

    def send(self, rule: Rule, action: str, told: dict[str, Json] | None = None, *, many: bool = False) -> Mailbox:
        """Post the message if the rule lets it in. `many`: one that is still unread keeps no second one out.

        `told` is for the audit log, in place of the payload.
        """
        with transaction.atomic():
            locked = Run.objects.select_for_update(of=("self",)).select_related("organization").get(pk=self.run.pk)
            if earlier := self.sent_before():
                return earlier
            standing = standing_of(locked)
            rule(standing)
            if not many and (deed := standing.newest(self.kind)):
                raise conflict(standing, "already-asked", "has a message of this kind that it has not read yet", deed)
            mail = post(locked, kind=self.kind, payload=self.payload, actor=self.actor, idempotency_key=self.key)
            audit.record(actor=self.actor, action=action, obj=locked, data=self.payload if told is None else told)
        transaction.on_commit(wake_drivers)
        return mail


def _is_behind(run: Run) -> bool:
    """Whether a driver keeps what the run has done to itself, until the run ends or the driver lets go of it."""
    return Run.objects.filter(pk=run.pk, durability=Run.Durability.EXIT, driver__isnull=False).exists()


# --------------------------------------------------------------------------- edits


def _check_edit(
    run: Run, state: RunState, values: Mapping[str, Json], delete: Sequence[str], within: str | None
) -> None:
    """Raises ControlInvalid, and JsonInvalid for values that are too large or too deep."""
    plan, before = _edited_graph(run, state, within)
    if not values and not delete:
        raise ControlInvalid([Detail(path="", code="nothing-to-edit", message="Name a key to set or to delete.")])
    check_edit(state, plan, before, values, delete)


def _edited_graph(run: Run, state: RunState, within: str | None) -> tuple[Plan, Mapping[str, Json]]:
    if within is None:
        return state.root.graph, preview(state).values
    graphs = {branch.id.hex(): branch.child for branch in state.branches.values() if branch.child is not None}
    child = graphs.get(within)
    if child is None:
        refuse_unknown([within], (), "The run has no open subgraph of this step", at=("within",))
        raise AssertionError  # an unknown step is always refused
    return child.scope.graph, child.scope.state({})
