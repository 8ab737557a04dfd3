"""`make demo` as a newcomer runs it, after the set-up."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)

pytestmark = pytest.mark.slow


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/demo.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_it_shows_a_review_that_gets_better_turn_by_turn():
    shown = demo()
    assert shown.returncode == 0, shown.stderr
    assert "Reviewing examples/sample_to_review.py" in shown.stdout
    scores = [
        float(line.split()[-1]) for line in shown.stdout.splitlines() if line.startswith("  turn ") and "█" in line
    ]
    assert len(scores) >= 2
    assert scores == sorted(scores)
    assert scores[-1] >= 7
    assert "-class Invoice(object):" in shown.stdout
    assert "/runs/" in shown.stdout


def test_it_reviews_a_file_that_is_not_valid_python(tmp_path: Path):
    odd = tmp_path / "odd.py"
    odd.write_text("print 'hello'\n")
    shown = demo(str(odd))
    assert shown.returncode == 0, shown.stderr
    assert "The code is unchanged" in shown.stdout
    assert "line 1" in shown.stdout


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str):
    path = tmp_path / "unreadable.py"
    if content is not None:
        path.write_bytes(content)
    shown = demo(str(path))
    assert shown.returncode == 1
    assert reason in shown.stderr
    assert str(path) in shown.stderr
