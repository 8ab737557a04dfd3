"""The peer's venv, made when it is first needed and again when its requirements change."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-peers.txt"
DIRECTORY = HERE / ".venv-peers"
PYTHON = DIRECTORY / "bin" / "python"
_MADE_FROM = DIRECTORY / "made-from.txt"


class PeersUnavailable(RuntimeError):
    """The peer's packages cannot be installed."""


def ensure_venv() -> Path:
    """The peer's Python. Raises PeersUnavailable where its packages cannot be had, for instance without a network."""
    wanted = REQUIREMENTS.read_text()
    if _MADE_FROM.exists() and _MADE_FROM.read_text() == wanted:
        return PYTHON
    print(f"Making {DIRECTORY.name} for the peer…", file=sys.stderr)
    venv.create(DIRECTORY, clear=True, with_pip=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    if subprocess.run(command, check=False).returncode != 0:
        raise PeersUnavailable(f"The packages of {REQUIREMENTS.name} could not be installed.")
    _MADE_FROM.write_text(wanted)
    return PYTHON
