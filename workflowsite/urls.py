"""The URL map."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from graphs.api.published import PublishedGraphViewSet
from runs.api.published import PublishedRunViewSet
from workflowsite import docs, health, pages
from workflowsite.errors import api_not_found
from workflowsite.router import router

first_release = [
    path("create", PublishedGraphViewSet.as_view({"post": "create"})),
    path("run", PublishedRunViewSet.as_view({"post": "run"})),
    path("state/<uuid:run_id>", PublishedRunViewSet.as_view({"get": "state"})),
    path("<path:path>", api_not_found),
]

urlpatterns = [
    path("", pages.home, name="home"),
    path("login/", pages.login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("accounts.urls")),
    path("", include("graphs.urls")),
    path("", include("runs.urls")),
    path("", include("runs.task_urls")),
    path("graph/", include(first_release)),
    path("api/v1/", include(router.urls)),
    path("api/schema/", docs.SchemaView.as_view(), name="schema"),
    path("api/docs/", docs.docs, name="docs"),
    path("api/<path:path>", api_not_found),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("admin/", admin.site.urls),
]

handler400 = "workflowsite.errors.bad_request"
handler403 = "workflowsite.errors.permission_denied"
handler404 = "workflowsite.errors.not_found"
handler500 = "workflowsite.errors.server_error"
