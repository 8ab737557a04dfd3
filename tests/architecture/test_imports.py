"""The import contracts of pyproject.toml: apps import to the right, and the pure modules know nothing of Django."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_every_import_keeps_the_contracts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cli = pytest.importorskip("importlinter.cli", reason="import-linter is in requirements-dev.txt")
    monkeypatch.chdir(ROOT)
    status = cli.lint_imports(no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out
