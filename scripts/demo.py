"""Reviews a Python file with the code-review graph, and shows the loop while it runs.

Starts web and workers on a free port with a fresh database, creates the graph and the run over REST, follows the log
over the WebSocket, prints the review, and stops what it started.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import requests
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
DATABASE = ROOT / "var" / "demo.sqlite3"
GRAPH = ROOT / "graphs" / "library" / "code_review.json"
SAMPLE = ROOT / "examples" / "sample_to_review.py"
READY_WITHIN_S = 60
REVIEWED_WITHIN_S = 300
MOST_TURNS = 5
SERVING = re.compile(r"Serving on (http://\S+)/ with")
MAX_LINES = 40

Json = dict[str, Any]


def main() -> int:
    arguments = parse_arguments()
    code = read_code(arguments.file)
    print(f"Reviewing {os.path.relpath(arguments.file)}, {len(code.splitlines())} lines.")
    with serving() as url:
        graph_id = post(f"{url}/graph/create", json.loads(GRAPH.read_text()))["graph_id"]
        run_id = post(f"{url}/graph/run", {"graph_id": graph_id, "initial_state": {"code": code}})["run_id"]
        follow(url, run_id)
        run = requests.get(f"{url}/graph/state/{run_id}", timeout=30).json()
        if run["status"] != "completed":
            fail(f"The run has {run['status']}:\n" + "\n".join(run["execution_log"][-5:]))
        print_review(run["current_state"])
        page = f"/runs/{run_id}/"
        if arguments.keep:
            print(f"\nThe run, step by step: {url}{page}\nStop with Ctrl-C.")
            wait_for_interrupt()
        else:
            print(f"\nThe run's page: {url}{page}")
            print("The demo's server stops now. To look at the run, serve its database:")
            print(f"  DATABASE_URL=sqlite:///{DATABASE.relative_to(ROOT)} make run")
            print(f"  http://localhost:8000{page}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Review a Python file and watch it live.")
    parser.add_argument("file", nargs="?", type=Path, default=SAMPLE, help="the file (default: a sample)")
    parser.add_argument("--keep", action="store_true", help="go on serving until Ctrl-C")
    return parser.parse_args()


def read_code(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{path} is not UTF-8 text.")
    except OSError as error:
        fail(f"Cannot read {path}: {error.strerror}.")


def fail(message: str) -> NoReturn:
    sys.exit(message)


# --------------------------------------------------------------------------- the server


@contextmanager
def serving() -> Iterator[str]:
    """Web and workers with a fresh database, at the URL that is yielded; gone afterwards."""
    for leftover in DATABASE.parent.glob(f"{DATABASE.name}*"):
        leftover.unlink()
    environment = {**os.environ, "DEBUG": "1", "DATABASE_URL": f"sqlite:///{DATABASE}", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as output:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "0"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield wait_until_ready(server, output.fileno())
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], output: int) -> str:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        said = os.pread(output, 100_000, 0).decode()
        if found := SERVING.search(said):
            url = found[1].rstrip("/")
            try:
                if requests.get(f"{url}/health/ready", timeout=5).ok:
                    return url
            except requests.RequestException:
                pass  # the web server is still starting
        time.sleep(0.1)
    fail("The server did not start. It said:\n" + os.pread(output, 100_000, 0).decode())


def post(url: str, body: Json) -> Json:
    answer = requests.post(url, json=body, timeout=60)
    if not answer.ok:
        fail(f"{url} refused: {answer.text[:2000]}")
    content: Json = answer.json()
    return content


def wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


# --------------------------------------------------------------------------- the run


def follow(url: str, run_id: str) -> None:
    """Show the live log until the run is over."""
    progress = Progress()
    address = f"{url.replace('http', 'ws', 1)}/ws/graph/run/{run_id}?after=0"
    with connect(address, max_size=None, open_timeout=30) as socket:
        deadline = time.monotonic() + REVIEWED_WITHIN_S
        while time.monotonic() < deadline:
            message = json.loads(socket.recv(timeout=REVIEWED_WITHIN_S))
            if message["type"] == "end":
                progress.finish()
                return
            for event in message.get("events", ()):
                progress.show(event)
    fail(f"The review took longer than {REVIEWED_WITHIN_S} s.")


class Progress:
    """A bar that fills with each turn of the loop; lines where there is no terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._turn = 1
        self._scores: list[float] = []

    def show(self, event: Json) -> None:
        if event["type"] != "StepCompleted":
            return
        update = event["data"].get("update", {})
        if "quality_score" in update:
            self._scores.append(update["quality_score"])
        self._draw(f"turn {self._turn}: {event['node']}")
        if "iteration" in update:
            self._turn = update["iteration"] + 1

    def finish(self) -> None:
        self._scores = self._scores or [0]
        if self._is_terminal:
            print(f"\r\033[K{self._bar(MOST_TURNS)} done")

    def _draw(self, text: str) -> None:
        if self._is_terminal:
            print(f"\r\033[K{self._bar(len(self._scores))} {text}", end="", flush=True)
        else:
            print(f"  {text}")

    @staticmethod
    def _bar(done: int) -> str:
        width = min(30, shutil.get_terminal_size().columns // 3)
        filled = width * done // MOST_TURNS
        return "█" * filled + "░" * (width - filled)


# --------------------------------------------------------------------------- the review


def print_review(state: Json) -> None:
    heading(f"Quality {state['quality_score']:g} of 10 after {count(state['iteration'], 'turn')}")
    for turn, score in enumerate(state["quality_history"], 1):
        print(f"  turn {turn}  {'█' * round(score * 2):<20} {score:g}")
    taken_off = {what: points for what, points in state["quality_penalties"].items() if points}
    if taken_off:
        print("  taken off: " + ", ".join(f"{what} {points:g}" for what, points in taken_off.items()))
    print_complexity(state["complexity_scores"])
    print_fixes(state.get("fixes_applied", []))
    print_issues(state["issues"], state["issue_count"])
    print_changes(state["original_code"], state["code"])


def print_complexity(scores: dict[str, int]) -> None:
    heading(f"{count(len(scores), 'function')}, by cyclomatic complexity")
    listed = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    print_some([f"  {score:>3}  {name}" for name, score in listed])


def print_fixes(fixes: list[Json]) -> None:
    heading("What was fixed" if fixes else "Nothing was fixed")
    print_some([f"  turn {fix['iteration']}  {fix['rule']:<8} {fix['count']} ×" for fix in fixes])


def print_issues(issues: list[Json], number: int) -> None:
    heading(f"{count(number, 'issue')} left" if number else "No issues left")
    print_some([f"  {issue['rule']:<8} line {issue['line']:<5} {issue['message']}" for issue in issues])
    rules = Counter(issue["rule"] for issue in issues)
    if len(issues) > MAX_LINES:
        print("  most often: " + ", ".join(f"{rule} ({times} ×)" for rule, times in rules.most_common(5)))


def print_changes(before: str, after: str) -> None:
    changes = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1)
    lines = [f"  {line}" for line in changes]
    heading("What changed" if lines else "The code is unchanged")
    print_some(lines)


def print_some(lines: list[str]) -> None:
    print(*lines[:MAX_LINES], sep="\n", end="\n" if lines else "")
    if len(lines) > MAX_LINES:
        print(f"  … and {len(lines) - MAX_LINES} more")


def heading(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


if __name__ == "__main__":
    sys.exit(main())
