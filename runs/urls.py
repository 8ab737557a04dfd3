"""The pages of runs."""

from django.urls import path

from runs import pages

app_name = "runs"
urlpatterns = [
    path("runs/", pages.run_list, name="list"),
    path("runs/<uuid:uuid>/", pages.run_page, name="detail"),
    path("runs/<uuid:uuid>/cancel/", pages.cancel, name="cancel"),
    path("graphs/<uuid:uuid>/start/", pages.start, name="start"),
]
