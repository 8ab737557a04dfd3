"""The pages of graphs."""

from django.urls import path

from graphs import pages

app_name = "graphs"
urlpatterns = [
    path("graphs/", pages.graph_list, name="list"),
    path("graphs/<uuid:uuid>/", pages.graph_page, name="detail"),
]
