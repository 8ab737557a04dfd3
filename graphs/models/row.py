"""The definition of a version, row by row."""

from __future__ import annotations

from django.db import models

from graphs.models.graph import GraphVersion


class Node(models.Model):
    """A step of a definition. Its moves are the edges whose source has its name.

    Columns with JSON hold the value of the definition's key of the same name; empty means that the key is left out.
    """

    class Routing(models.TextChoices):
        NONE = "none", "The branch ends"
        TO = "to", "To one node"
        FORK = "fork", "To several nodes in parallel"
        CONDITION = "condition", "Condition, true or false"
        SWITCH = "switch", "First case that is true"
        EACH = "each", "All cases that are true, in parallel"
        MAP = "map", "Once for each item of a list"
        DYNAMIC = "dynamic", "The tool decides"

    class Executor(models.TextChoices):
        INLINE = "inline", "In the driver's loop"
        THREAD = "thread", "In a thread"
        PROCESS = "process", "In a process of its own"
        CLUSTER = "cluster", "On the cluster"

    version = models.ForeignKey(GraphVersion, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=64)
    rank = models.PositiveIntegerField(default=0, help_text="Place in the list; it has no meaning for runs.")
    label = models.CharField(max_length=200, blank=True, default="")
    description = models.TextField(blank=True, default="")
    tool = models.CharField(max_length=255, blank=True, default="")
    graph = models.TextField(blank=True, default="", help_text="A graph: name, name@version or = expression.")
    human = models.TextField(blank=True, default="", help_text="JSON: the form that people answer.")
    wait = models.TextField(blank=True, default="", help_text="JSON: the timer or signal to wait for.")
    inputs = models.TextField(blank=True, default="", help_text="JSON: arguments by name.")
    outputs = models.TextField(blank=True, default="", help_text="JSON: state keys and = expressions over result.")
    routing = models.CharField(max_length=16, choices=Routing, default=Routing.NONE)
    expression = models.TextField(
        blank=True, default="", help_text="The condition; for a map = expression, or a JSON list of items."
    )
    map_options = models.TextField(blank=True, default="", help_text="JSON: as, collect, max_parallel and so on.")
    join = models.TextField(blank=True, default="", help_text='JSON: "all", "any" or {"count": 2}.')
    retry = models.TextField(blank=True, default="", help_text="JSON: max_attempts and so on.")
    timeout_s = models.FloatField(null=True, blank=True, help_text="Seconds for one attempt.")
    deadline_s = models.FloatField(null=True, blank=True, help_text="Seconds for all attempts together.")
    heartbeat_timeout_s = models.FloatField(null=True, blank=True, help_text="Seconds between two heartbeats.")
    cache = models.TextField(blank=True, default="", help_text="JSON: ttl_s and key.")
    lock = models.TextField(blank=True, default="", help_text="A name or = expression.")
    executor = models.CharField(max_length=16, choices=Executor, blank=True, default="")
    compensate = models.TextField(blank=True, default="", help_text="JSON: the tool that undoes this step.")
    x = models.FloatField(null=True, blank=True)
    y = models.FloatField(null=True, blank=True)
    metadata = models.TextField(blank=True, default="", help_text="A JSON object for your own use.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "name"], name="node_name_per_version")]
        ordering = ["rank", "id"]

    def __str__(self) -> str:
        return self.name


class Edge(models.Model):
    """A possible move from one node to another. Source and target are names of nodes, or `end`."""

    class Slot(models.TextChoices):
        NEXT = "next", "Next"
        IF_TRUE = "if_true", "If true"
        IF_FALSE = "if_false", "If false"
        WHEN = "when", "When"
        DEFAULT = "default", "Default"
        MAP_TO = "map_to", "Map: to"
        MAP_JOIN = "map_join", "Map: join"
        ALLOWED = "allowed", "Allowed"
        ON_ERROR = "on_error", "On error"
        ON_TIMEOUT = "on_timeout", "On timeout"
        ON_DUE = "on_due", "On due"
        ANY = "any", "Wait: this one"

    version = models.ForeignKey(GraphVersion, models.CASCADE, related_name="edges")
    source = models.CharField(max_length=64)
    slot = models.CharField(max_length=16, choices=Slot, default=Slot.NEXT)
    position = models.PositiveIntegerField(default=0, help_text="Which case of the slot, from 0.")
    branch = models.PositiveIntegerField(default=0, help_text="Place in the list of targets, if it is a fork.")
    expression = models.TextField(
        blank=True, default="", help_text="The condition of a case; for On error the name of the exception."
    )
    target = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "source", "slot", "position", "branch"], name="edge_place_per_version"
            )
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"
