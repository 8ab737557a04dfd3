"""Graphs and their versions."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Graph(models.Model):
    """A named workflow of an organization. What runs is one of its published versions."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="graphs")
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=120)
    description = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "slug"], name="graph_slug_per_organization")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class GraphVersion(models.Model):
    """A definition: editable rows while a draft, frozen canonical JSON with its SHA-256 once published.

    The columns from `name` to `metadata`, the nodes and the edges are the definition row by row; `graphs.rows` turns
    them into JSON and back. Runs of a published version use the frozen JSON only.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"

    class OnFailure(models.TextChoices):
        DRAIN = "drain", "Let the other branches go on"
        STOP = "stop", "Start nothing new"

    class Durability(models.TextChoices):
        SYNC = "sync", "Every step is on disk before the next one starts"
        ASYNC = "async", "The next step may start while one is being written"
        EXIT = "exit", "Written when the run ends or waits"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    graph = models.ForeignKey(Graph, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.DRAFT)
    definition = models.TextField(
        blank=True, default="", editable=False, help_text="Canonical JSON; empty while a draft."
    )
    sha256 = models.CharField(max_length=64, blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )

    name = models.CharField(max_length=100)
    description = models.TextField(blank=True, default="")
    start_node = models.CharField(max_length=64, blank=True, default="", help_text="The node that runs first.")
    state = models.TextField(blank=True, default="", help_text="JSON: schema, defaults and reducers of the state.")
    on_failure = models.CharField(
        max_length=8, choices=OnFailure, default=OnFailure.DRAIN, help_text="What happens when a branch fails."
    )
    limits = models.TextField(blank=True, default="", help_text="JSON: max_steps, max_iterations, timeout_s and so on.")
    durability = models.CharField(max_length=8, choices=Durability, default=Durability.SYNC)
    retention = models.TextField(blank=True, default="", help_text="JSON; empty keeps finished runs.")
    concurrency = models.TextField(blank=True, default="", help_text="JSON; empty allows any number of runs at a time.")
    metadata = models.TextField(blank=True, default="", help_text="A JSON object for your own use.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["graph", "number"], name="version_number_per_graph")]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.graph.name}@{self.number}"

    @property
    def is_published(self) -> bool:
        return self.status == self.Status.PUBLISHED
