"""What the process pool executes: being a driver. There is no other task."""

from __future__ import annotations

import logging
import os
import signal

from runs.driver import main
from runs.driver.pool import AnyFlag, StopFlag, current_pool

logger = logging.getLogger(__name__)


def drive() -> None:
    """Execute runs until the cluster stops or this process gets SIGTERM. Then the process ends: this never returns.

    A service manager may send SIGTERM to every process at once, which leaves nobody to tell the workers, so each
    listens for itself. And the process ends with its driver because a tool may have left threads behind that nothing
    else can stop; the pool replaces it.
    """
    told = StopFlag()
    signal.signal(signal.SIGTERM, lambda *_: told.raise_())
    pool = current_pool()
    if pool:
        pool.drivers.enter(os.getpid())
    status = 1
    try:
        main.drive(
            stop=AnyFlag(told, pool.stop) if pool else told,
            quarantine=pool is not None and pool.take_quarantine(),
        )
        status = 0
    except Exception:
        logger.exception("The driver broke.")
    finally:
        os._exit(status)
