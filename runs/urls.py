"""The pages of runs."""

from django.urls import path

from runs import pages

app_name = "runs"
urlpatterns = [
    path("runs/", pages.run_list, name="list"),
    path("runs/<uuid:uuid>/", pages.run_page, name="detail"),
    path("runs/<uuid:uuid>/subgraphs/<slug:digest>/", pages.subgraph, name="subgraph"),
    path("runs/<uuid:uuid>/errors/", pages.errors, name="errors"),
    path("runs/<uuid:uuid>/items/", pages.items, name="items"),
    path("runs/<uuid:uuid>/queued/", pages.queued, name="queued"),
    path("runs/<uuid:uuid>/fork/", pages.fork, name="fork"),
    path("runs/<uuid:uuid>/again/", pages.again, name="again"),
    *(path(f"runs/<uuid:uuid>/{verb}/", pages.control_run, {"verb": verb}, name=verb) for verb in pages.SERVICES),
    path("graphs/<uuid:uuid>/start/", pages.start, name="start"),
]
