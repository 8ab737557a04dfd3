"""Facts about the machine and what runs on it, for the report."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

BUSY_LOAD = 0.5


def facts() -> dict[str, str | int | float]:
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def is_busy() -> bool:
    """Whether other programs have kept more than half a core busy over the last minute."""
    return os.getloadavg()[0] > BUSY_LOAD


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("django", "django-q2", "daphne", "pydantic")},
    }


def _field(path: str, name: str) -> str:
    """The value of the first line `name : value` of a file of the kernel."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
