"""What the processes of an installation write to their log."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("django.request", "runs.dispatch", "django-q")
CODE = f"""
import logging
for name in {NAMES!r}:
    logging.getLogger(name).warning("told once")
"""


def said(*command: str, debug: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "workflowsite.settings",
        "DEBUG": debug,
        "SECRET_KEY": "x" * 40,
    }
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return process.stderr


@pytest.mark.parametrize("debug", ["0", "1"])
def test_of_a_command_a_record_is_one_line_with_its_time_and_its_logger(debug: str) -> None:
    lines = [rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} WARNING {name}: told once\n" for name in NAMES]
    assert re.fullmatch("".join(lines), said("manage.py", "shell", "--verbosity", "0", "-c", CODE, debug=debug))


@pytest.mark.parametrize("debug", ["0", "1"])
def test_of_a_web_server_with_a_format_of_its_own_a_record_is_one_line(debug: str) -> None:
    code = "import django, logging; django.setup(); logging.basicConfig(format='its %(message)s')"
    assert said("-c", f"{code}\nlogging.getLogger('django.request').warning('told')", debug=debug) == "its told\n"
