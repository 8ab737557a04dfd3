"""The REST API's part of the URL map: every viewset, under /api/v1/."""

from rest_framework.routers import SimpleRouter

from accounts.api.views import ApiKeyViewSet, MemberViewSet, OrganizationViewSet
from graphs.api.views import GraphViewSet, VersionViewSet
from runs.api.human_tasks import TaskViewSet
from runs.api.signals import SignalViewSet
from runs.api.views import RunViewSet
from tools.api.views import ToolViewSet

router = SimpleRouter(use_regex_path=False)
router.register("graphs", GraphViewSet, "graph")
router.register("graphs/<uuid:graph_uuid>/versions", VersionViewSet, "version")
router.register("runs", RunViewSet, "run")
router.register("signals", SignalViewSet, "signal")
router.register("tasks", TaskViewSet, "task")
router.register("tools", ToolViewSet, "tool")
router.register("organizations", OrganizationViewSet, "organization")
router.register("members", MemberViewSet, "member")
router.register("api-keys", ApiKeyViewSet, "api-key")
