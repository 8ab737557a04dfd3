"""Runs: starting, watching and cancelling them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, OldestFirst
from accounts.models import Role
from runs import selectors, services
from runs.api.filters import RunFilter
from runs.api.serializers import (
    CancelSerializer,
    EventsQuery,
    EventsSerializer,
    NewRunSerializer,
    RunSerializer,
    StartedRunSerializer,
    StartQuery,
    StateQuery,
    StateSerializer,
    StepSerializer,
)
from runs.api.versions import named_version, newest_version
from runs.api.waiting import wait_for_end, wait_for_entry
from runs.log import render
from runs.models import Run

MAX_KEY_LENGTH = 200
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A start that is repeated with the same key answers with the run that the first one started.",
)


class RunViewSet(ListModelMixin, RetrieveModelMixin, ActorViewSet):
    """The runs of the organization, the newest first."""

    roles = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "state": Role.VIEWER,
        "steps": Role.VIEWER,
        "events": Role.VIEWER,
        "create": Role.OPERATOR,
        "cancel": Role.OPERATOR,
    }
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
        query = self.query(StartQuery)
        wanted = self.body(NewRunSerializer)
        if "version" in wanted:
            version = named_version(self.organization, wanted.pop("version"))
        else:
            version = newest_version(self.organization, wanted.pop("graph"))
        run = services.start_run(
            version=version,
            state=wanted.pop("initial_state"),
            actor=self.actor,
            idempotency_key=_idempotency_key(request),
            **wanted,
        )
        if query["wait"]:
            wait_for_end(run, timeout_s=query["wait"])
            run.refresh_from_db()
        state = selectors.current_state(run).values if run.is_terminal else None
        return Response({**RunSerializer(run).data, "state": state}, status=status.HTTP_201_CREATED)

    @extend_schema(request=CancelSerializer, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, uuid: UUID) -> Response:
        """Ask for the run's end; it is cancelled within moments."""
        run = self.get_object()
        services.cancel_run(run=run, actor=self.actor, **self.body(CancelSerializer))
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(parameters=[StateQuery], responses=StateSerializer)
    @action(detail=True)
    def state(self, request: Request, uuid: UUID) -> Response:
        """The state now, or as it was after the event `seq`."""
        run, seq = self.get_object(), self.query(StateQuery).get("seq")
        if seq is None:
            return Response(StateSerializer(selectors.current_state(run)).data)
        if seq > run.seq:
            raise NotFound(f"The run has come to event {run.seq}; there is no event {seq} yet.")
        return Response(StateSerializer(selectors.state_at(run, seq)).data)

    @extend_schema(responses=StepSerializer(many=True))
    @action(detail=True, pagination_class=OldestFirst, filterset_class=None)
    def steps(self, request: Request, uuid: UUID) -> Response:
        """The steps in the order in which they were scheduled."""
        page = self.paginate_queryset(selectors.steps_of(self.get_object()))
        return self.get_paginated_response(StepSerializer(page, many=True).data)

    @extend_schema(parameters=[EventsQuery], responses=EventsSerializer)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def events(self, request: Request, uuid: UUID) -> Response:
        """The journal after `after`. With `wait` the answer comes with the next event, or when there will be none."""
        run, query = self.get_object(), self.query(EventsQuery)
        if query["wait"]:
            wait_for_entry(run, after=query["after"], timeout_s=query["wait"])
        found = selectors.events_after(run, after=query["after"], limit=query["limit"])
        return Response({"results": [render(event) for event in found]})


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValidationError({"Idempotency-Key": [f"Give 1 to {MAX_KEY_LENGTH} characters."]})
    return key
