"""The endpoints of the first release that concern runs, with the bodies and the words that its clients know."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, JsonObjectField, StrictSerializer
from accounts.models import Role
from runs import selectors, services
from runs.api.versions import newest_version
from runs.models import Run

_RUNNING = Run.Status.RUNNING.value


class RunBody(StrictSerializer):
    coerces = True

    graph_id = serializers.UUIDField()
    initial_state = JsonObjectField(default=dict)


class RunAnswer(serializers.Serializer[Any]):
    run_id = serializers.UUIDField()
    status = serializers.CharField()
    message = serializers.CharField()


class StateAnswer(serializers.Serializer[Any]):
    run_id = serializers.UUIDField()
    status = serializers.CharField(help_text="running, completed, failed or cancelled.")
    current_state = JsonObjectField()
    execution_log = serializers.ListField(child=serializers.CharField())


class PublishedRunViewSet(ActorViewSet):
    roles = {"run": Role.OPERATOR, "state": Role.VIEWER}
    queryset = Run.objects.none()
    serializer_class = RunAnswer

    @extend_schema(operation_id="graph_run", request=RunBody, responses=RunAnswer)
    def run(self, request: Request) -> Response:
        """Start a run of a graph's newest published version."""
        wanted = self.body(RunBody)
        version = newest_version(self.organization, str(wanted["graph_id"]), field="graph_id")
        run = services.start_run(version=version, state=wanted["initial_state"], actor=self.actor)
        return Response({"run_id": str(run.uuid), "status": _RUNNING, "message": "Workflow execution started"})

    @extend_schema(operation_id="graph_state", responses=StateAnswer)
    def state(self, request: Request, run_id: UUID) -> Response:
        """A run's state and log. It is `running` until it is completed, failed or cancelled."""
        run = get_object_or_404(selectors.runs_of(self.organization), uuid=run_id)
        return Response(
            {
                "run_id": str(run.uuid),
                "status": run.status if run.is_terminal else _RUNNING,
                "current_state": selectors.current_state(run).values,
                "execution_log": selectors.execution_log(run),
            }
        )
