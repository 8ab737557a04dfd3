"""A small disk that the test's database, or its journal, is moved to, and that can be filled to the last byte.

It is a file system in memory: that its writes fail for want of space is the kernel's word, not a test's.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import django.db
import pytest
from django.db import connection

MIB = 1024 * 1024
SIZE_MIB = 32
TABLESPACE = "small_disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    folder: Path

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Take every block that is left, while others take some, too."""
        with self._filler.open("wb", buffering=0) as filler:
            for size_bytes in (MIB, os.statvfs(self.folder).f_bsize):
                with suppress(OSError):
                    while filler.write(bytes(size_bytes)):
                        pass

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def database_on_small_disk() -> Iterator[Disk]:
    """Skips the test where that is not possible."""
    with _mounted() as folder, _moved_to(folder):
        yield Disk(folder=folder)


@contextmanager
def _mounted() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a disk takes root")
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    try:
        mounting = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", folder], capture_output=True, text=True
        )
        if mounting.returncode != 0:
            pytest.skip(f"no disk can be mounted: {mounting.stderr.strip()}")
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


def _moved_to(folder: Path) -> AbstractContextManager[None]:
    return _whole_file_in(folder) if connection.vendor == "sqlite" else _journal_in(folder / "tablespace")


@contextmanager
def _whole_file_in(folder: Path) -> Iterator[None]:
    settings = connection.settings_dict
    former = settings["NAME"]
    settings["NAME"] = str(folder / "workflow.sqlite3")
    with closing(sqlite3.connect(former)) as source, closing(sqlite3.connect(settings["NAME"])) as copy:
        source.backup(copy)
    connection.close()
    try:
        yield
    finally:
        connection.close()
        settings["NAME"] = former


@contextmanager
def _journal_in(folder: Path) -> Iterator[None]:
    """The table of events, which every step writes to; the server has its log and all else where they were."""
    folder.mkdir()
    shutil.chown(folder, "postgres")
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{folder}'")
        except django.db.Error as error:
            pytest.skip(f"PostgreSQL keeps nothing there: {error}")
        cursor.execute(f"ALTER TABLE runs_event SET TABLESPACE {TABLESPACE}")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE runs_event SET TABLESPACE pg_default")
            cursor.execute(f"DROP TABLESPACE {TABLESPACE}")
