"""Control verbs: each leaves a message for the run's driver, and can wait until the driver has acted on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, NothingSerializer, StrictSerializer
from accounts.models import Role
from runs import control
from runs.api.control_serializers import (
    BreakpointsAnswer,
    BreakpointsBody,
    CancelBody,
    ControlQuery,
    EditBody,
    LimitBody,
    ReasonBody,
    StepBody,
    StepsBody,
)
from runs.api.idempotency import IDEMPOTENCY_KEY, idempotency_key
from runs.api.serializers import RunSerializer
from runs.api.waiting import wait_for_effect
from runs.breakpoints import breakpoints_of
from runs.models import Mailbox

Service = Callable[..., Mailbox]


def _verb(body: type[StrictSerializer], **options: Any) -> Callable[[Any], Any]:
    """A POST that answers with the run as it is when the verb is on its way, or has taken effect."""

    def decorate(method: Any) -> Any:
        acting = action(detail=True, methods=["post"], filterset_class=None, **options)(method)
        # Around the action: what is inside of it is not read.
        return extend_schema(request=body, parameters=[ControlQuery, IDEMPOTENCY_KEY], responses={202: RunSerializer})(
            acting
        )

    return decorate


class ControlMixin(ActorViewSet):
    """The control verbs of a run."""

    roles = {
        "breakpoints": Role.VIEWER,
        **dict.fromkeys(("pause", "resume", "step", "set_breakpoints", "retry", "limit", "cancel"), Role.OPERATOR),
        "edit": Role.EDITOR,
    }
    queries = dict.fromkeys(
        ("pause", "resume", "step", "set_breakpoints", "edit", "retry", "limit", "cancel"), ControlQuery
    )

    @_verb(ReasonBody)
    def pause(self, request: Request, uuid: UUID) -> Response:
        """Start nothing new. What is in flight goes on; `wait` waits for its end."""
        return self._control(control.pause_run, ReasonBody)

    @_verb(NothingSerializer)
    def resume(self, request: Request, uuid: UUID) -> Response:
        """Let a paused run go on."""
        return self._control(control.resume_run, NothingSerializer)

    @_verb(StepBody)
    def step(self, request: Request, uuid: UUID) -> Response:
        """Let steps that a paused run holds go on: `into`, `over` or `out` of what they open."""
        return self._control(control.step_run, StepBody)

    @extend_schema(responses=BreakpointsAnswer)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def breakpoints(self, request: Request, uuid: UUID) -> Response:
        """The breakpoints of the run, and how often each was hit."""
        return Response({"breakpoints": breakpoints_of(self.get_object())})

    @extend_schema(
        operation_id="runs_set_breakpoints",
        request=BreakpointsBody,
        parameters=[ControlQuery, IDEMPOTENCY_KEY],
        responses={202: RunSerializer},
    )
    @breakpoints.mapping.post
    def set_breakpoints(self, request: Request, uuid: UUID) -> Response:
        """Replace the breakpoints of the run."""
        return self._control(control.set_breakpoints, BreakpointsBody)

    @_verb(EditBody)
    def edit(self, request: Request, uuid: UUID) -> Response:
        """Change the state of a paused or failed run."""
        return self._control(control.edit_state, EditBody)

    @_verb(StepsBody)
    def retry(self, request: Request, uuid: UUID) -> Response:
        """Go on with steps that have failed. What has completed does not run again."""
        return self._control(control.retry_run, StepsBody)

    @_verb(LimitBody)
    def limit(self, request: Request, uuid: UUID) -> Response:
        """Change how many items of an open map are under way at once."""
        return self._control(control.limit_map, LimitBody)

    @_verb(CancelBody)
    def cancel(self, request: Request, uuid: UUID) -> Response:
        """End the run, at once or gracefully. What can be undone is undone first."""
        return self._control(control.cancel_run, CancelBody)

    def _control(self, service: Service, body: type[StrictSerializer]) -> Response:
        run, query, wanted = self.get_object(), self.query(), self.body(body)
        mail = service(run=run, actor=self.actor, idempotency_key=idempotency_key(self.request), **wanted)
        if query["wait"]:
            wait_for_effect(mail, timeout_s=query["wait"])
        run.refresh_from_db()
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)
