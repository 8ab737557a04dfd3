"""The REST API's part of the URL map: every viewset, under /api/v1/."""

from rest_framework.routers import SimpleRouter

from accounts.api.views import ApiKeyViewSet, MemberViewSet, OrganizationViewSet
from tools.api.views import ToolViewSet

router = SimpleRouter(use_regex_path=False)
router.register("tools", ToolViewSet, "tool")
router.register("organizations", OrganizationViewSet, "organization")
router.register("members", MemberViewSet, "member")
router.register("api-keys", ApiKeyViewSet, "api-key")
