"""Forking a run, and moving one to another version of its graph."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, JsonObjectField, NoSuchObject, StrictSerializer
from accounts.models import Role
from accounts.permissions import require_role
from graphs.models import GraphVersion
from graphs.selectors import versions_of
from runs import forking, migrating
from runs.api.idempotency import IDEMPOTENCY_KEY, request_key
from runs.api.serializers import MAX_SEQ, RunSerializer, checked_labels
from runs.engine import MigrationPlan
from runs.models import Run

MAX_KEYS = 1_000

NAMES = "By the name of a node: its name in the other version, where that is another."


class _MappingField(serializers.DictField):
    child = serializers.CharField(max_length=64)


class ForkSerializer(StrictSerializer):
    seq = serializers.IntegerField(min_value=1, max_value=MAX_SEQ, help_text="The event to go on from.")
    values = JsonObjectField(required=False, help_text="Keys of the state that the fork begins with otherwise.")
    delete = serializers.ListField(
        child=serializers.CharField(), default=list, max_length=MAX_KEYS, help_text="Keys that it begins without."
    )
    version = serializers.UUIDField(required=False, help_text="A published version of the graph to go on with.")
    mapping = _MappingField(default=dict, help_text=NAMES)
    labels = serializers.DictField(
        child=serializers.CharField(max_length=200), required=False, help_text="Else the run's."
    )
    paused = serializers.BooleanField(required=False, help_text="Else as the run was.")

    def validate_labels(self, labels: dict[str, str]) -> dict[str, str]:
        return checked_labels(labels)


class MigrateSerializer(StrictSerializer):
    version = serializers.UUIDField(help_text="A published version of the run's graph.")
    mapping = _MappingField(default=dict, help_text=NAMES)
    dry_run = serializers.BooleanField(default=False, help_text="Only say what would happen.")


class PatchSerializer(StrictSerializer):
    changes = JsonObjectField(help_text="A JSON merge patch (RFC 7396) of the run's definition.")
    mapping = _MappingField(default=dict, help_text=NAMES)


class MoveSerializer(serializers.Serializer[Any]):
    step = serializers.SerializerMethodField(help_text="20 hexadecimal digits.")
    path = serializers.CharField(help_text="Enclosing map items.")
    node = serializers.CharField()
    to = serializers.CharField(allow_null=True, help_text="The node in the other version; null if it has none.")
    status = serializers.CharField(help_text="running, held, parked, open or frozen.")

    def get_step(self, move: Any) -> str:
        return move.step.hex()


class ObstacleSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    node = serializers.CharField(allow_blank=True)
    path = serializers.CharField(allow_blank=True)


class MigrationPlanSerializer(serializers.Serializer[MigrationPlan]):
    possible = serializers.SerializerMethodField()
    moves = MoveSerializer(many=True, help_text="Where each branch goes.")
    obstacles = ObstacleSerializer(many=True, help_text="What is in the way.")

    def get_possible(self, plan: MigrationPlan) -> bool:
        return not plan.obstacles


class PatchedSerializer(serializers.ModelSerializer[GraphVersion]):
    version = serializers.UUIDField(source="uuid")

    class Meta:
        model = GraphVersion
        fields = ["version", "number"]
        read_only_fields = fields


class MovingActions(ActorViewSet):
    """What a viewset of runs offers for them to be forked, migrated and patched."""

    @extend_schema(request=ForkSerializer, parameters=[IDEMPOTENCY_KEY], responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def fork(self, request: Request, uuid: UUID) -> Response:
        """Start a run that goes on from an event of this one.

        To edit its state or to name a version takes an editor, as it does for the run itself.
        """
        run, wanted = self.get_object(), self.body(ForkSerializer)
        seq = wanted.pop("seq")
        if seq > run.seq:
            raise NoSuchObject("seq", f"The run has come to event {run.seq}; there is no event {seq} yet.")
        if wanted.get("values") or wanted["delete"] or "version" in wanted:
            require_role(self.actor, Role.EDITOR)
        if "version" in wanted:
            wanted["version"] = self._version(run, wanted["version"])
        forked = forking.fork_run(run=run, at_seq=seq, actor=self.actor, request_key=request_key(request), **wanted)
        return Response(RunSerializer(forked).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=MigrateSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={200: MigrationPlanSerializer, 202: MigrationPlanSerializer},
    )
    @action(detail=True, methods=["post"])
    def migrate(self, request: Request, uuid: UUID) -> Response:
        """Move the run to another version, within moments; with `dry_run` only say where its branches would go."""
        run, wanted = self.get_object(), self.body(MigrateSerializer)
        version, mapping = self._version(run, wanted["version"]), wanted["mapping"]
        if wanted["dry_run"]:
            plan = migrating.plan_migration(run=run, version=version, mapping=mapping)
            return Response(MigrationPlanSerializer(plan).data)
        plan = migrating.migrate_run(
            run=run, version=version, actor=self.actor, mapping=mapping, request_key=request_key(request)
        )
        return Response(MigrationPlanSerializer(plan).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=PatchSerializer, parameters=[IDEMPOTENCY_KEY], responses={202: PatchedSerializer})
    @action(detail=True, methods=["post"], url_path="patch", url_name="patch")
    def patch_graph(self, request: Request, uuid: UUID) -> Response:
        """Publish a changed definition as a new version of the graph, and move the run to it within moments."""
        run, wanted = self.get_object(), self.body(PatchSerializer)
        version = migrating.patch_run(run=run, actor=self.actor, request_key=request_key(request), **wanted)
        return Response(PatchedSerializer(version).data, status=status.HTTP_202_ACCEPTED)

    def _version(self, run: Run, uuid: UUID) -> GraphVersion:
        version = versions_of(self.organization).filter(uuid=uuid, graph=run.version.graph_id).first()
        if version is None:
            raise NoSuchObject("version", "The graph of the run has no version with this id; give another one.")
        return version
