"""Makes a clone ready to run: virtual environment, packages, front end, database. Only the standard library.

Each step leaves a stamp with the hash of what it was made from, in the virtual environment; a step whose stamp is
fresh is skipped, so this is quick when nothing has changed and safe to call at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
FRONTEND = ROOT / "frontend"
BUILT = FRONTEND / "dist" / "manifest.json"
DATABASE = ROOT / "var" / "workflow.sqlite3"
OLDEST_PYTHON = (3, 11)


def main() -> None:
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {sys.version.split()[0]} is too old; call this with 3.11 or newer (make PYTHON=python3.12).")
    with (ROOT / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make demo` and `make test` may be started side by side
        make_venv()
        requirements = sorted(ROOT.glob("requirements*.txt"))
        once("packages", [*requirements, sys.version], install_packages, makes=PYTHON)
        once("frontend", frontend_sources(), build_frontend, makes=BUILT)
        database = os.environ.get("DATABASE_URL", "")
        migrations = sorted(ROOT.glob("*/migrations/*.py"))
        once("database", [*migrations, database], migrate, makes=STAMPS if database else DATABASE)


def once(step: str, inputs: Iterable[object], action: Callable[[], None], *, makes: Path) -> None:
    """Do a step unless it was done with the same inputs (a path stands for the file's content) and is still there."""
    key = digest(inputs)
    stamp = STAMPS / step
    if makes.exists() and stamp.exists() and stamp.read_text() == key:
        return
    print(f"Setting up: {step}", flush=True)
    action()
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(key)


def digest(inputs: Iterable[object]) -> str:
    total = hashlib.sha256()
    for value in inputs:
        total.update(value.read_bytes() if isinstance(value, Path) else str(value).encode())
        total.update(b"\0")
    return total.hexdigest()


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    """Run a command; when it fails, end with what it was."""
    if subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, check=False).returncode:
        sys.exit(f"This failed, so the set-up is not complete: {' '.join(map(str, command))}")


def make_venv() -> None:
    if PYTHON.exists():
        return
    try:
        import ensurepip  # noqa: F401 - Debian has it in a package of its own
    except ImportError:
        sys.exit("This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv")
    run(sys.executable, "-m", "venv", VENV)


def install_packages() -> None:
    pip("-r", "requirements-dev.txt")


def pip(*arguments: str) -> None:
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def frontend_sources() -> list[Path]:
    outside = {"node_modules", "dist"}
    return sorted(
        path for path in FRONTEND.rglob("*") if path.is_file() and outside.isdisjoint(path.relative_to(FRONTEND).parts)
    )


def build_frontend() -> None:
    path = os.pathsep.join([str(node_folder()), os.environ["PATH"]])
    npm = shutil.which("npm", path=path)
    if npm is None:
        sys.exit("There is a node but no npm beside it; install npm, or remove that node to have one installed here.")
    run(npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=FRONTEND, PATH=path)
    run(npm, "run", "--silent", "build", cwd=FRONTEND, PATH=path)


def node_folder() -> Path:
    """Where there is a Node that is new enough: the system's, else one from PyPI in the virtual environment."""
    wanted = json.loads((FRONTEND / "package.json").read_text())["engines"]["node"]
    node = shutil.which("node")
    if node:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        if satisfies(version, wanted):
            return Path(node).parent
    pip("-r", "requirements-frontend.txt")
    return VENV / "bin"


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version is in an npm range made of `^1.2.3`, `>=1.2.3` and `||`."""
    has = numbers(version)
    for alternative in wanted.split("||"):
        least = numbers(alternative)
        if has >= least and (has[:1] == least[:1] or not alternative.strip().startswith("^")):
            return True
    return False


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def migrate() -> None:
    run(PYTHON, "manage.py", "migrate", "--verbosity", "0", DEBUG=os.environ.get("DEBUG", "1"))


if __name__ == "__main__":
    main()
