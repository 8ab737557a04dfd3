"""Moving runs to other versions of their graphs: the plan, and asking the run's driver for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.plan import Plan, compile_plan
from graphs.plans import plan_of
from graphs.services import checked_definition, export_definition, publish_checked
from runs.driver.letters import MIGRATE
from runs.engine import MigrationPlan, Obstacle, RunState
from runs.engine import plan_migration as plan_in_engine
from runs.errors import ControlInvalid, KeyUsedBefore, MigrationRefused
from runs.models import Mailbox, Run
from runs.repeats import RequestKey
from runs.services import wake_drivers
from runs.standing import state_to_change
from runs.store.mail import post
from tools.errors import Detail
from tools.strict_json import Json, pointer

NO_CHANGE = "The definition would stay as it is, so there is nothing to publish; change something."


def version_name(version: GraphVersion) -> str:
    """As events and people call a version."""
    return f"{version.graph.slug}@{version.number}"


def plan_migration(*, run: Run, version: GraphVersion, mapping: Mapping[str, str] | None = None) -> MigrationPlan:
    """Where each branch of the run would go now, and what is in the way.

    Raises VersionNotPublished, and ControlConflict for a run that cannot be read.
    """
    run.refresh_from_db(fields=["seq", "version", "begun_with"])
    return plan_in_engine(state_to_change(run, run.seq), plan_of(version), mapping or {})


def refuse_if_unsafe(state: RunState, version: GraphVersion, mapping: Mapping[str, str]) -> MigrationPlan:
    """Raise MigrationRefused with all that is in the way, if anything is; else return where the branches go."""
    return _refuse_if_unsafe(state, plan_of(version), mapping, name=version_name(version))


def _refuse_if_unsafe(state: RunState, plan: Plan, mapping: Mapping[str, str], *, name: str) -> MigrationPlan:
    found = plan_in_engine(state, plan, mapping)
    if found.obstacles:
        details = [Detail(path=_place_of(one), code=one.code, message=one.message) for one in found.obstacles]
        raise MigrationRefused(name, details)
    return found


def _place_of(obstacle: Obstacle) -> str:
    """The pointer into the request for a bad mapping, else into the definition."""
    if obstacle.mapped:
        return pointer("mapping", obstacle.mapped)
    return pointer("nodes", obstacle.node) if obstacle.node else ""


def migrate_run(
    *,
    run: Run,
    version: GraphVersion,
    actor: Actor,
    mapping: Mapping[str, str] | None = None,
    request_key: RequestKey | None = None,
) -> MigrationPlan:
    """Ask the run's driver to move it to another version, at its next step boundary. Return where its branches go.

    The driver looks once more at what is in the way, since the run goes on meanwhile, and then refuses in the journal.
    A request that is repeated with its `request_key` is one migration. Raises MigrationRefused for what is in the way
    now, another migration that is not taken in yet among it, VersionNotPublished, KeyUsedBefore, and ControlConflict
    for a run that cannot be read.
    """
    move = _Move(run=run, mapping=dict(mapping or {}), actor=actor, key=request_key)
    if earlier := move.asked_before():
        return _plan_made_for(earlier, version, move.mapping)
    run.refresh_from_db(fields=["seq", "version", "begun_with"])
    if version.pk == run.version_id:
        raise _refused(version, "same-version", "It has this version already.")
    plan = refuse_if_unsafe(state_to_change(run, run.seq), version, move.mapping)
    with transaction.atomic():
        if earlier := move.lock():
            return _plan_made_for(earlier, version, move.mapping)
        move.ask(version)
    transaction.on_commit(wake_drivers)
    return plan


def patch_run(
    *,
    run: Run,
    changes: Json,
    actor: Actor,
    mapping: Mapping[str, str] | None = None,
    request_key: RequestKey | None = None,
) -> GraphVersion:
    """Publish the definition of the run with `changes` as a new version of its graph, and migrate the run to it.

    `changes` is a JSON merge patch (RFC 7396): objects are merged, null removes. A request that is repeated with its
    `request_key` is one version. Raises ControlInvalid where they change nothing, DefinitionInvalid, MigrationRefused
    and KeyUsedBefore; then nothing is published.
    """
    move = _Move(run=run, mapping=dict(mapping or {}), actor=actor, key=request_key)
    if earlier := move.asked_before():
        return _version_of(earlier)
    run.refresh_from_db(fields=["seq", "version", "begun_with"])
    graph, present = run.version.graph, export_definition(run.version)
    checked = checked_definition(merge_patch(present, changes), graph)
    if checked.spec.canonical() == present:
        raise ControlInvalid([Detail(path="/changes", code="nothing-to-change", message=NO_CHANGE)])
    _refuse_if_unsafe(
        state_to_change(run, run.seq), compile_plan(checked.spec), move.mapping, name="the patched version"
    )
    with transaction.atomic():
        if earlier := move.lock():
            return _version_of(earlier)
        version = publish_checked(graph=graph, checked=checked, actor=actor)
        move.ask(version)
    transaction.on_commit(wake_drivers)
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A request for a run to be moved to another version."""

    run: Run
    mapping: dict[str, str]
    actor: Actor
    key: RequestKey | None

    def asked_before(self) -> Mailbox | None:
        """The message that this request left before. Raises KeyUsedBefore if its key came with another request."""
        if self.key is None:
            return None
        mail = Mailbox.objects.filter(run=self.run, idempotency_key=self.key.key).first()
        if mail is not None and json.loads(mail.payload).get("request") != self.key.digest:
            raise KeyUsedBefore(self.key.key)
        return mail

    def lock(self) -> Mailbox | None:
        """Keep others from asking until the transaction ends; the message, if this request was first by now."""
        Run.objects.select_for_update(of=("self",)).get(pk=self.run.pk)
        return self.asked_before()

    def ask(self, version: GraphVersion) -> None:
        """Leave the message. Raises MigrationRefused if another one is not taken in yet."""
        if Mailbox.objects.filter(run=self.run, kind=MIGRATE, consumed_at=None).exists():
            raise _refused(version, "migration-pending", "Another migration of the run has been asked for just now.")
        payload = {
            "version": version_name(version),
            "version_id": version.pk,
            "digest": version.sha256,
            "mapping": self.mapping,
        }
        key = None
        if self.key is not None:
            key, payload = self.key.key, {**payload, "request": self.key.digest, "planned_after": self.run.seq}
        post(self.run, kind=MIGRATE, payload=payload, actor=self.actor, idempotency_key=key)
        audit.record(actor=self.actor, action="run.migrated", obj=self.run, data={"version": payload["version"]})


def _plan_made_for(mail: Mailbox, version: GraphVersion, mapping: Mapping[str, str]) -> MigrationPlan:
    """What the request was answered with that left the message."""
    planned_after = json.loads(mail.payload)["planned_after"]
    return plan_in_engine(state_to_change(mail.run, planned_after), plan_of(version), mapping)


def _version_of(mail: Mailbox) -> GraphVersion:
    return GraphVersion.objects.get(pk=json.loads(mail.payload)["version_id"])


def _refused(version: GraphVersion, code: str, message: str) -> MigrationRefused:
    return MigrationRefused(version_name(version), [Detail(path="", code=code, message=message)])


def merge_patch(target: Json, patch: Json) -> Json:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
