"""A wall clock of a process, and of all that it starts, that a test moves while they run."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "clock.c"


class Clock:
    """Skips the test where it cannot be built."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("cc") is None:
            pytest.skip("there is no C compiler")
        library, self._offset = folder / "clock.so", folder / "offset"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._offset)}
        self._offset.touch()
        self.set_ahead(0)

    def set_ahead(self, seconds: int) -> None:
        """Set it ahead of the right time, or back."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))
