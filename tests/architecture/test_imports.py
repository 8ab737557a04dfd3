"""The import contracts of pyproject.toml: apps import to the right, and the pure modules know nothing of Django."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.mark.skipif(not LINT_IMPORTS.exists(), reason="import-linter is in requirements-dev.txt")
def test_every_import_keeps_the_contracts() -> None:
    # In a process of its own: it imports packages, and what other tests have imported gets in its way.
    linted = subprocess.run([LINT_IMPORTS, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
