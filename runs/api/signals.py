"""Signals: sending them to whichever run of a business key waits, and those that are kept."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, OldestFirst
from accounts.models import Role
from runs import signals
from runs.api.filters import SignalFilter
from runs.api.idempotency import IDEMPOTENCY_KEY, idempotency_key
from runs.api.serializers import NewKeyedSignalSerializer, SignalSerializer
from runs.models import Signal


class SignalViewSet(ListModelMixin, ActorViewSet):
    """The signals that no step has taken yet, the oldest first."""

    roles = {"list": Role.VIEWER, "create": Role.OPERATOR}
    queryset = Signal.objects.none()
    serializer_class = SignalSerializer
    filterset_class = SignalFilter
    pagination_class = OldestFirst

    def get_queryset(self) -> QuerySet[Signal]:
        return signals.signals_of(self.organization)

    @extend_schema(request=NewKeyedSignalSerializer, parameters=[IDEMPOTENCY_KEY], responses={201: SignalSerializer})
    def create(self, request: Request) -> Response:
        """Send a signal by business key; it is kept until a run of this key takes it."""
        wanted = self.body(NewKeyedSignalSerializer)
        signal = signals.signal_business_key(actor=self.actor, idempotency_key=idempotency_key(request), **wanted)
        return Response(SignalSerializer(signal).data, status=status.HTTP_201_CREATED)
