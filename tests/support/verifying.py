"""What every run must pass after something broke under it."""

from runs.models import Run
from runs.verification import verify_run


def assert_as_journaled(*runs: Run) -> None:
    """Head, snapshots and step rows are what the journal says; of all runs, if none is given."""
    for run in runs or Run.objects.select_related("version__graph"):
        report = verify_run(run)
        assert not report.is_moving, f"run {run.uuid} still goes on"
        assert not report.differences, f"run {run.uuid}: {'; '.join(report.differences)}"
