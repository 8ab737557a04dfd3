"""The URL map."""

from django.contrib import admin
from django.urls import include, path

from workflowsite import health
from workflowsite.errors import api_not_found
from workflowsite.router import router

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include(router.urls)),
    path("api/<path:path>", api_not_found),
    path("health/live", health.live),
    path("health/ready", health.ready),
]

handler400 = "workflowsite.errors.bad_request"
handler403 = "workflowsite.errors.permission_denied"
handler404 = "workflowsite.errors.not_found"
handler500 = "workflowsite.errors.server_error"
