"""The pages of tasks."""

from django.urls import path

from runs import task_pages

app_name = "tasks"
urlpatterns = [
    path("tasks/", task_pages.task_list, name="list"),
    path("tasks/<uuid:uuid>/", task_pages.task_page, name="detail"),
    path("tasks/<uuid:uuid>/answer/", task_pages.answer, name="answer"),
    path("tasks/<uuid:uuid>/delegate/", task_pages.delegate, name="delegate"),
]
