"""A process that is killed in the middle of a run, and is started again with the same thread id."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.langgraph_side.loops import looping
from benchmarks.langgraph_side.running import Counting, State, new_config, sqlite_file, sqlite_saver
from benchmarks.workload import elapsed

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.005


def resume_after_kill(*, steps: int, pause_s: float, kills: int) -> dict[str, float]:
    """Milliseconds from the SIGKILL, and the immediate start of another process, until the run's next step is done."""
    resumes_ms = [_kill_in_the_middle(steps, pause_s) for _ in range(kills)]
    return {"resume_ms": median(resumes_ms), "slowest_resume_ms": max(resumes_ms)}


def _kill_in_the_middle(steps: int, pause_s: float) -> float:
    config = new_config(steps)
    with sqlite_file() as path:
        with sqlite_saver(path):
            pass  # the tables must be there before they are looked at
        first = _start(path, config, pause_s, {"n": 0, "turns": steps})
        _wait_for_checkpoints(path, steps // 2)
        killed_at = datetime.now(UTC)
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = _start(path, config, pause_s, None)
        if second.wait(PATIENCE_S) != 0:
            raise RuntimeError("The second process did not finish the run.")
        with sqlite_saver(path) as checkpointer:
            times = [datetime.fromisoformat(saved.checkpoint["ts"]) for saved in checkpointer.list(config)]
    return (min(at for at in times if at > killed_at) - killed_at).total_seconds() * 1000


def _start(path: Path, config: dict[str, Any], pause_s: float, state: State | None) -> subprocess.Popen[bytes]:
    arguments = json.dumps([str(path), config, pause_s, state])
    return subprocess.Popen([sys.executable, "-m", "benchmarks.langgraph_side.resuming", arguments])


def _wait_for_checkpoints(path: Path, number: int) -> None:
    start_ns = time.perf_counter_ns()
    with closing(sqlite3.connect(path)) as database:
        while database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] < number:
            if elapsed(start_ns) > PATIENCE_S:
                raise RuntimeError(f"There were not {number} checkpoints after {PATIENCE_S:.0f} s.")
            time.sleep(LOOK_EVERY_S)


def _drive(path: str, config: dict[str, Any], pause_s: float, state: State | None) -> None:
    """Run a thread to its end; without a state, from its last checkpoint."""

    def work(state: State) -> State:
        time.sleep(pause_s)
        return {"n": state["n"] + 1}

    with sqlite_saver(Path(path)) as checkpointer:
        looping(Counting, work).compile(checkpointer=checkpointer).invoke(state, config, durability="sync")


if __name__ == "__main__":
    _drive(*json.loads(sys.argv[1]))
