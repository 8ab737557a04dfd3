"""Runs: starting, watching, repeating and deleting them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import NoSuchObject, NothingSerializer, OldestFirst
from accounts.models import Role
from runs import selectors, services
from runs.api.control import ControlMixin
from runs.api.filters import RunFilter
from runs.api.idempotency import IDEMPOTENCY_KEY, idempotency_key, request_key
from runs.api.moving import MovingActions
from runs.api.serializers import (
    EventsQuery,
    EventsSerializer,
    ExplanationSerializer,
    NewRunSerializer,
    NewSignalSerializer,
    RerunSerializer,
    RunSerializer,
    SignalSerializer,
    StartedRunSerializer,
    StartQuery,
    StateQuery,
    StateSerializer,
    StepErrorSerializer,
    StepSerializer,
    WebhookKeySerializer,
)
from runs.api.versions import named_version, newest_version
from runs.api.waiting import wait_for_end, wait_for_entry
from runs.explain import explain_run
from runs.log import render
from runs.models import Run
from runs.redaction import redaction_of
from runs.repeats import RequestKey, run_of
from runs.signals import signal_run
from runs.webhooks.body import organization_key


class RunViewSet(ControlMixin, ListModelMixin, RetrieveModelMixin, MovingActions):
    """The runs of the organization, the newest first."""

    roles = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "state": Role.VIEWER,
        "steps": Role.VIEWER,
        "events": Role.VIEWER,
        "explain": Role.VIEWER,
        "errors": Role.OPERATOR,
        "create": Role.OPERATOR,
        "fork": Role.OPERATOR,
        "migrate": Role.EDITOR,
        "patch_graph": Role.EDITOR,
        "signals": Role.OPERATOR,
        "rerun": Role.OPERATOR,
        "redeliver_webhook": Role.OPERATOR,
        "destroy": Role.EDITOR,
        "webhook_key": Role.ADMIN,
        **ControlMixin.roles,
    }
    queries = {"create": StartQuery, "state": StateQuery, "events": EventsQuery, **ControlMixin.queries}
    paged = ("list", "steps", "errors")
    queryset = Run.objects.none()
    serializer_class = RunSerializer
    filterset_class = RunFilter

    def get_queryset(self) -> QuerySet[Run]:
        return selectors.runs_of(self.organization)

    @extend_schema(
        request=NewRunSerializer, parameters=[StartQuery, IDEMPOTENCY_KEY], responses={201: StartedRunSerializer}
    )
    def create(self, request: Request) -> Response:
        """Start a run, and if asked wait for its end."""
        query = self.query()
        wanted, key = self.body(NewRunSerializer), request_key(request)
        # Before the version is looked for: the graph may have another one by now, or none any more.
        run = run_of(self.organization, key) or self._start(wanted, key)
        if query["wait"]:
            wait_for_end(run, timeout_s=query["wait"])
            run.refresh_from_db()
        state = selectors.current_state(run).values if run.is_terminal else None
        return Response({**RunSerializer(run).data, "state": state}, status=status.HTTP_201_CREATED)

    def _start(self, wanted: dict[str, Any], key: RequestKey | None) -> Run:
        if "version" in wanted:
            version = named_version(self.organization, wanted.pop("version"), field="version")
        else:
            version = newest_version(self.organization, wanted.pop("graph"), field="graph")
        state = wanted.pop("initial_state")
        return services.start_run(version=version, state=state, actor=self.actor, request_key=key, **wanted)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One run as it is now."""
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, uuid: UUID) -> Response:
        """Delete a run that is over, with its journal and all else that belongs to it."""
        services.delete_run(run=self.get_object(), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=NewSignalSerializer, parameters=[IDEMPOTENCY_KEY], responses={201: SignalSerializer})
    @action(detail=True, methods=["post"])
    def signals(self, request: Request, uuid: UUID) -> Response:
        """Send the run a signal; it is kept until a step of the run that waits for its name takes it."""
        run = self.get_object()
        wanted = self.body(NewSignalSerializer)
        signal = signal_run(run=run, actor=self.actor, idempotency_key=idempotency_key(request), **wanted)
        return Response(SignalSerializer(signal).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RerunSerializer, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, uuid: UUID) -> Response:
        """Start another run with the same initial state and options, but without the webhook."""
        run = self.get_object()
        if self.body(RerunSerializer)["version"] == "latest":
            version = newest_version(self.organization, str(run.version.graph.uuid), field="version")
        else:
            version = named_version(self.organization, run.version.uuid, field="version")
        again = services.rerun(run=run, version=version, actor=self.actor)
        return Response(RunSerializer(again).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NothingSerializer, responses={202: RunSerializer})
    @action(detail=True, methods=["post"], url_path="webhook/redeliver")
    def redeliver_webhook(self, request: Request, uuid: UUID) -> Response:
        """Tell the run's end to its webhook again."""
        self.body(NothingSerializer)
        services.redeliver_webhook(run=self.get_object(), actor=self.actor)
        return Response(RunSerializer(self.get_object()).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=WebhookKeySerializer)
    @action(detail=False, url_path="webhook-key", pagination_class=None, filterset_class=None)
    def webhook_key(self, request: Request) -> Response:
        """The key that signs the organization's webhooks where a run has given no secret."""
        return Response({"key": organization_key(self.organization)})

    @extend_schema(parameters=[StateQuery], responses=StateSerializer)
    @action(detail=True)
    def state(self, request: Request, uuid: UUID) -> Response:
        """The state now, or as it was after the event `seq`; with `within` that of a subgraph."""
        run, query = self.get_object(), self.query()
        seq = query.get("seq", run.seq)
        if seq > run.seq:
            raise NoSuchObject("seq", f"The run has come to event {run.seq}; there is no event {seq} yet.")
        if "within" not in query:
            state = selectors.state_at(run, seq) if "seq" in query else selectors.current_state(run)
            return Response(StateSerializer(state).data)
        within = selectors.state_within(run, query["within"], seq)
        if within is None:
            raise NoSuchObject("within", "The step has begun no subgraph, or the run has no such step; give another.")
        return Response(StateSerializer(within).data)

    @extend_schema(responses=StepSerializer(many=True))
    @action(detail=True, pagination_class=OldestFirst, filterset_class=None)
    def steps(self, request: Request, uuid: UUID) -> Response:
        """The steps in the order in which they were scheduled."""
        page = self.paginate_queryset(selectors.marked_steps_of(self.get_object()))
        return self.get_paginated_response(StepSerializer(page, many=True).data)

    @extend_schema(responses=StepErrorSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def errors(self, request: Request, uuid: UUID) -> Response:
        """What ended attempts of the steps, with tracebacks; the newest first."""
        page = self.paginate_queryset(selectors.step_errors_of(self.get_object()))
        return self.get_paginated_response(StepErrorSerializer(page, many=True).data)

    @extend_schema(responses=ExplanationSerializer)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def explain(self, request: Request, uuid: UUID) -> Response:
        """Why the run is not moving: what it, and each of its branches, waits for."""
        run = self.get_object()
        reasons = [asdict(reason) for reason in explain_run(run)]
        return Response(ExplanationSerializer({"status": run.status, "reasons": reasons}).data)

    @extend_schema(parameters=[EventsQuery], responses=EventsSerializer)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def events(self, request: Request, uuid: UUID) -> Response:
        """The journal after `after`. With `wait` the answer comes with the next event, or when there will be none."""
        run, query = self.get_object(), self.query()
        if query["wait"]:
            wait_for_entry(run, after=query["after"], timeout_s=query["wait"])
        redaction = redaction_of(run)
        found = selectors.events_after(run, after=query["after"], limit=query["limit"])
        return Response({"results": [render(event, redaction) for event in found]})
