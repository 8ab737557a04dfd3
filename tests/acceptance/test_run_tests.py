"""What `make test` prints at its end, in a project of a few tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.slow

PASSING = """
def test_good():
    for turn in range(2):
        assert turn < 2
"""
FAILING = """
import logging
import os

import pytest


@pytest.fixture
def broken():
    raise OSError("no disk")


def test_bad():
    print("FAILED by its own account only")
    logging.error("a log is no summary")
    assert 1 == 2


def test_not_set_up(broken): ...


def test_bad_there_only():
    assert os.environ["DATABASE_URL"].startswith("sqlite:")
"""
UNSTEADY = """
def test_in_time():
    import os
    from pathlib import Path

    tried = Path("tried")
    if os.environ["DATABASE_URL"].startswith("sqlite:") and not tried.exists():
        tried.touch()
        assert "late" == "in time"
"""
FAILING_OFTEN = """
import os
from pathlib import Path

import pytest


@pytest.mark.skipif("not os.environ['DATABASE_URL'].startswith('sqlite:')")
@pytest.mark.parametrize("number", range(11))
def test_bad(number):
    with Path("tried").open("a") as tried:
        tried.write(".")
    assert number < 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("scripts", "tests/integration", "tests/durability"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.coverage.run]\nbranch = true\nparallel = true\n")
    shutil.copy(Path(settings.BASE_DIR) / "scripts/run_tests.py", tmp_path / "scripts")
    (tmp_path / "tests/integration/test_good.py").write_text(PASSING)
    return tmp_path


def run_tests(project: Path) -> tuple[int, list[str]]:
    """The script's status, and what it prints after the coverage."""
    shown = subprocess.run(
        [sys.executable, "scripts/run_tests.py"],
        cwd=project,
        # Nothing else of ours: neither Django's settings nor the coverage that may measure this test.
        env={"PATH": os.environ["PATH"], "TEST_DATABASE_URL": "postgres:///nobody_connects_to_it"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    _, coverage, last = shown.stdout.partition("\nCoverage: ")
    assert coverage, shown.stdout + shown.stderr
    return shown.returncode, last.splitlines()[1:]


def test_the_last_lines_name_what_failed_on_either_database(project: Path):
    (project / "tests/integration/test_bad.py").write_text(FAILING)
    status, last = run_tests(project)
    assert status == 1
    bad = "tests/integration/test_bad.py"
    assert [line.split(" - ")[0] for line in last[:-2]] == [
        f"FAILED {bad}::test_bad",
        f"ERROR {bad}::test_not_set_up",
        f"On PostgreSQL: FAILED {bad}::test_bad",
        f"On PostgreSQL: FAILED {bad}::test_bad_there_only",
        f"On PostgreSQL: ERROR {bad}::test_not_set_up",
    ]
    assert last[-2].startswith("On PostgreSQL: ===")
    assert "2 failed, 1 passed, 1 error in" in last[-2]
    assert "1 failed, 2 passed, 1 error in" in last[-1]


def test_the_last_lines_name_nothing_when_all_is_well(project: Path):
    status, last = run_tests(project)
    assert status == 0
    assert len(last) == 2
    assert last[0].startswith("On PostgreSQL: ===")
    assert all("= 1 passed in" in line for line in last)


def test_what_fails_beside_others_only_is_named_and_no_failure(project: Path):
    (project / "tests/integration/test_unsteady.py").write_text(UNSTEADY)
    status, last = run_tests(project)
    assert status == 0
    assert [line.split(" - ")[0] for line in last[:-2]] == [
        "Passed only when tried again alone: FAILED tests/integration/test_unsteady.py::test_in_time",
    ]
    assert "1 failed, 1 passed in" in last[-1]


def test_what_passes_at_last_does_not_hide_what_fails_again(project: Path):
    (project / "tests/integration/test_unsteady.py").write_text(UNSTEADY)
    (project / "tests/integration/test_bad.py").write_text("def test_bad():\n    assert 1 == 2\n")
    status, last = run_tests(project)
    assert status == 1
    assert [line.split(" - ")[0] for line in last[:-2]] == [
        "FAILED tests/integration/test_bad.py::test_bad",
        "On PostgreSQL: FAILED tests/integration/test_bad.py::test_bad",
        "Passed only when tried again alone: FAILED tests/integration/test_unsteady.py::test_in_time",
    ]


def test_many_failures_are_not_tried_again(project: Path):
    (project / "tests/integration/test_bad.py").write_text(FAILING_OFTEN)
    status, last = run_tests(project)
    assert status == 1
    assert len(last) == 11 + 2
    assert len((project / "tried").read_text()) == 11
