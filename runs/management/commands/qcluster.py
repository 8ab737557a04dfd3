"""A pool of drivers without a supervisor. Takes the place of django-q2's command of the same name."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from runs import cluster
from runs.management.preflight import check_database_before_forking, check_platform


class Command(BaseCommand):
    help = "Executes runs until SIGTERM. `worker` does the same and replaces a pool that no longer works."

    def handle(self, *args: Any, **options: Any) -> None:
        check_platform()
        check_database_before_forking()
        sys.exit(cluster.run_pool())
