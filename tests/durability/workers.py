"""Clusters with a worker that notes what it did, and may be killed at a point of our choice."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.durability.sabotage import are_injected
from tests.support.processes import managing
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until


def worker(folder: Path, **environment: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A cluster of one worker and the tools of `tests.durability.sabotage`, which note in the folder what they did."""
    (folder / "calls").touch()
    return managing(
        "worker",
        "--workers=1",
        WORKFLOW_TOOL_MODULES="tests.durability.sabotage",
        WORKFLOW_BEAT_INTERVAL_S="0.5",
        SABOTAGE_FOLDER=str(folder),
        **environment,
    )


@contextmanager
def killed_worker(sabotage: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Such a cluster, whose worker `sabotage` kills.

    Whoever leaves it finds that the fault was injected, and every run as its journal says.
    """
    with worker(folder, SABOTAGE=sabotage) as process:
        yield process
        wait_until(lambda: are_injected(sabotage, folder), "the fault was injected")
    assert_as_journaled()
