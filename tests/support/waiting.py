"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import Any

WAIT_S = 60


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s in vain until {what}"
        time.sleep(0.005)
