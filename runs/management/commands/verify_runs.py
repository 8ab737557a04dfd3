"""Compares what is derived from the journals of runs with the journals."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from runs.management.preflight import check_database, counted
from runs.models import Run
from runs.verification import Report, repair_run, verify_run


class Command(BaseCommand):
    help = (
        "Folds the journals of runs from their start and compares heads, snapshots and step rows with them. "
        "Exits with 1 if a run differs. How often a step's worker died is not in the journal and not compared."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", type=UUID, metavar="RUN", help="ids of runs; all if none is given")
        parser.add_argument(
            "--since", type=_moment, metavar="TIME", help="leave out runs that were over before this time (ISO 8601)"
        )
        parser.add_argument(
            "--fix",
            action="store_true",
            help="rebuild step rows and delete snapshots that differ; journals and heads are never changed",
        )

    def handle(self, *args: Any, runs: list[UUID], since: datetime | None, fix: bool, **options: Any) -> None:
        check_database()
        looked_at = differing = 0
        for run in _chosen(runs, since):
            looked_at += 1
            report = verify_run(run)
            if report.is_moving:
                self.stdout.write(f"{run.uuid}: goes on too quickly to be compared; pause it or wait for its end")
            if report.differences:
                self.stdout.write(f"{run.uuid}: {'; '.join(report.differences)}")
                differing += not (fix and self._is_mended(run, report))
        self.stdout.write(
            f"{counted(looked_at, 'run')} looked at, {differing} {'differs' if differing == 1 else 'differ'}."
        )
        if differing:
            raise SystemExit(1)

    def _is_mended(self, run: Run, report: Report) -> bool:
        if not report.can_be_repaired:
            self.stdout.write(f"{run.uuid}: cannot be mended; what differs is no projection")
            return False
        if not repair_run(run, report):
            self.stdout.write(f"{run.uuid}: not mended; it is being driven")
            return False
        left = verify_run(run).differences
        self.stdout.write(f"{run.uuid}: mended" + (f" but for this: {'; '.join(left)}" if left else ""))
        return not left


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time such as 2026-12-24 or 2026-12-24T18:00:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _chosen(uuids: list[UUID], since: datetime | None) -> Iterator[Run]:
    runs = Run.objects.filter(deleted_at=None).select_related("version__graph").order_by("pk")
    if uuids:
        runs = runs.filter(uuid__in=uuids)
        unknown = set(uuids).difference(runs.values_list("uuid", flat=True))
        if unknown:
            raise CommandError(f"There is no run {', '.join(sorted(map(str, unknown)))}.")
    if since is not None:
        runs = runs.filter(Q(finished_at=None) | Q(finished_at__gte=since))
    # The ids first: a cursor that is open for hours would keep SQLite from ever cleaning up behind its writers.
    for pk in list(runs.values_list("pk", flat=True)):
        run = runs.filter(pk=pk).first()
        if run is not None:
            yield run
