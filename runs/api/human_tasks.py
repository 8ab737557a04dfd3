"""The tasks of people: the inbox, answering, and handing on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet
from accounts.models import Role
from runs import human_tasks
from runs.api.filters import TaskFilter
from runs.api.serializers import AnswerSerializer, AssigneesSerializer, TaskSerializer
from runs.models import HumanTask


class TaskViewSet(ListModelMixin, RetrieveModelMixin, ActorViewSet):
    """What runs ask people, the newest first. Everybody may look; who may answer is the task's own matter."""

    roles = {"list": Role.VIEWER, "retrieve": Role.VIEWER, "answer": Role.VIEWER, "delegate": Role.VIEWER}
    queryset = HumanTask.objects.none()
    serializer_class = TaskSerializer
    filterset_class = TaskFilter

    def get_queryset(self) -> QuerySet[HumanTask]:
        return human_tasks.tasks_of(self.actor)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One task, with its form and the answers so far."""
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=AnswerSerializer, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, uuid: UUID) -> Response:
        """Answer the task. The run goes on with the last answer that the quorum needs."""
        task = self.get_object()
        task = human_tasks.answer_task(task=task, actor=self.actor, **self.body(AnswerSerializer))
        return Response(TaskSerializer(task).data)

    @extend_schema(request=AssigneesSerializer, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def delegate(self, request: Request, uuid: UUID) -> Response:
        """Have others answer, in place of those who should."""
        task = human_tasks.delegate_task(task=self.get_object(), to=self.body(AssigneesSerializer), actor=self.actor)
        return Response(TaskSerializer(task).data)
