"""Deletes the runs that the retention of their graphs lets go."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from graphs.models import Graph
from graphs.selectors import graph_named
from runs.management.preflight import check_database, counted
from runs.retention import expired_runs, finish_deletions, prune_due_runs

BATCH = 100


class Command(BaseCommand):
    help = (
        "Deletes finished runs as the retention of their graphs says, or WORKFLOW_RETENTION_DAYS where a graph says "
        "nothing. A cluster does the same by itself once an hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many runs of which graph would go")
        parser.add_argument("--graph", help="id or slug of the one graph whose runs may go")

    def handle(self, *args: Any, dry_run: bool, graph: str | None, **options: Any) -> None:
        check_database()
        chosen = None if graph is None else _graph(graph)
        if dry_run:
            found = [(expired.graph, number) for expired in expired_runs(chosen) if (number := expired.runs.count())]
            for of_graph, number in found:
                self.stdout.write(f"{of_graph.slug} ({of_graph.uuid}): {number}")
            if not found:
                self.stdout.write("No run would be deleted.")
            return
        finish_deletions()
        deleted = 0
        while number := prune_due_runs(BATCH, graph=chosen):
            deleted += number
        self.stdout.write(f"Deleted {counted(deleted, 'run')}.")


def _graph(name: str) -> Graph:
    found = list(Graph.objects.filter(**graph_named(name))[:2])
    if len(found) != 1:
        problem = "There is no graph" if not found else "Several organizations have a graph"
        raise CommandError(f"{problem} {name!r}; give the id of one.")
    return found[0]
