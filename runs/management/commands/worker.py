"""The cluster that executes runs, under a supervisor."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from runs.cluster import ClusterChild
from runs.management.preflight import at_least_one, check_database_before_forking, check_platform, counted
from runs.processes import stop_on_signals, supervise


class Command(BaseCommand):
    help = "Executes runs until SIGTERM or Ctrl-C, whatever happens to the processes that do it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers", type=at_least_one, default=settings.WORKFLOW.workers, help="drivers (%(default)s)"
        )

    def handle(self, *args: Any, workers: int, **options: Any) -> None:
        check_platform()
        check_database_before_forking()
        stop = stop_on_signals()
        cluster = ClusterChild(workers=workers)
        self.stdout.write(f"Executing runs with {counted(workers, 'worker')}. Stop with Ctrl-C.")
        self.stdout.flush()
        supervise([cluster], stop)
        cluster.forget_queues()
        self.stdout.write("Stopped.")
