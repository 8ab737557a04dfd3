"""What is measured, and the targets."""

from __future__ import annotations

from typing import Any

from benchmarks.scenario import Figure, Growth, Scenario

SMALL, LARGE, HUGE = 100, 1_600, 100_000
CHUNK = 1024
SHORT_CHUNK = 64
"""What `HUGE` turns append, so that the state stays under the limit of its size."""


def _steps(
    name: str,
    title: str,
    *,
    lengths: tuple[int, ...] = (100, 1000),
    tool: str = "bench_count",
    durability: str = "sync",
    target: float | None = None,
    target_ratio: float | None = None,
    **setting: Any,
) -> tuple[Scenario, ...]:
    """A loop of short steps in several lengths; `setting` are fields of its scenarios."""
    return tuple(
        Scenario(
            name=f"{name}-{steps}",
            ours=("loop", {"steps": steps, "tool": tool, "durability": durability}),
            peer=("loop", {"steps": steps, "durability": durability}),
            figures=(
                Figure(
                    key="us_step",
                    title=f"step, {title}, loop of {steps:,}",
                    unit="µs",
                    target=target,
                    target_ratio=target_ratio,
                ),
            ),
            is_quick=name == "step" or steps == lengths[-1],
            **setting,
        )
        for steps in lengths
    )


def _append(
    steps: int, *, characters: int = CHUNK, channel: str = "list", peer_title: str = "", **setting: Any
) -> Scenario:
    size = "1 KiB" if characters == CHUNK else f"{characters} B"
    title = f"{steps:,} steps that append {size}{peer_title}"
    figures = [
        Figure(key="took_ms", title=title, unit="ms"),
        Figure(key="us_step", title=f"{title}: a step", unit="µs"),
        Figure(key="stored_bytes", title=f"{title}: stored", unit="B"),
    ]
    if characters == CHUNK:
        figures.append(Figure(key="stored_ratio", title=f"{title}: stored / appended", unit="x", target=3.0))
    else:
        figures.append(Figure(key="stored_bytes_step", title=f"{title}: stored a step", unit="B"))
    if steps == LARGE and channel == "list":
        figures.append(
            Figure(
                key="stored_ratio_without_snapshots", title=f"{title}: the same without snapshots", unit="x", target=1.8
            )
        )
    if steps >= LARGE:
        figures += [
            Figure(key="read_p50_ms", title=f"{title}: reading its state at a random seq, p50", unit="ms"),
            Figure(key="slowest_read_ms", title=f"{title}: the slowest of 20 readings", unit="ms", target=50),
        ]
    return Scenario(
        name=f"append-{steps}" + ("" if channel == "list" else f"-{channel}"),
        ours=("append", {"steps": steps, "characters": characters}),
        peer=("append", {"steps": steps, "characters": characters, "channel": channel}),
        figures=tuple(figures),
        **setting,
    )


def _map(name: str, items: int, title: str, *, target: float | None, **setting: Any) -> Scenario:
    return Scenario(
        name=name,
        ours=("fan_out", {"items": items, "tool": "noop", "inputs": {}}),
        peer=("fan_out", {"items": items, "style": "none"}),
        figures=(Figure(key="took_ms", title=title, unit="ms", target=target),),
        **setting,
    )


def _wait(style: str, tool: str, title: str, *, target: float) -> Scenario:
    return Scenario(
        name=f"wait-100-{style}",
        ours=("fan_out", {"items": 100, "tool": tool, "inputs": {"seconds": 0.05}}),
        peer=("fan_out", {"items": 100, "style": style, "seconds": 0.05}),
        figures=(Figure(key="took_ms", title=f"100 items that wait 50 ms, {title}", unit="ms", target=target),),
    )


def _cpu(executor: str, title: str, *, target: float | None, **setting: Any) -> Scenario:
    work = {"items": 8, "tool": "bench_burn", "inputs": {"seconds": 0.25}, "executor": executor, "warm_up": 2}
    return Scenario(
        name=f"cpu-8-{executor}",
        ours=("fan_out", work),
        peer=("fan_out", {"items": 8, "style": "cpu", "seconds": 0.25, "warm_up": 2}),
        figures=(Figure(key="took_ms", title=f"8 items of 0.25 s of CPU, {title}", unit="ms", target=target),),
        **setting,
    )


def _throughput(name: str, title: str, *, target: float, **setting: Any) -> Scenario:
    return Scenario(
        name=name,
        ours=("throughput", {"runs": 200}),
        peer=("throughput", {"runs": 200, "threads": 8}),
        figures=(Figure(key="runs_s", title=title, unit="runs/s", more_is_better=True, target=target),),
        **setting,
    )


SCENARIOS: tuple[Scenario, ...] = (
    *_steps("step", "committed before the next", target=200, target_ratio=4.5),
    *_steps("step-thread", "tool in a thread", tool="bench_count_in_thread", target=400),
    *_steps("step-full", "synchronous FULL", environment={"WORKFLOW_SQLITE_SYNCHRONOUS": "FULL"}),
    *_steps("step-async", "durability async", durability="async"),
    *_steps("step-exit", "durability exit", durability="exit", target=60),
    *_steps("pg-step", "PostgreSQL", lengths=(1000,), database="postgres", target=650, target_ratio=2.2),
    *_steps("pg-step-async", "PostgreSQL, durability async", lengths=(1000,), database="postgres", durability="async"),
    *_steps(
        "pg-step-exit",
        "PostgreSQL, durability exit",
        lengths=(1000,),
        database="postgres",
        durability="exit",
        target=60,
    ),
    Scenario(
        name="writes",
        ours=("writes", {"tool": "bench_count"}),
        peer=None,
        figures=(
            Figure(key="commits_step", title="commits a step", unit="", target=1),
            Figure(key="statements_step", title="writing statements a step", unit="", target=3),
            Figure(key="rows_step", title="rows written a step", unit=""),
            Figure(key="reads_step", title="reads a step", unit="", target=0),
            Figure(key="bytes_step", title="bytes stored a step", unit="B"),
        ),
    ),
    *(_append(steps) for steps in (SMALL, 400, LARGE)),
    _append(LARGE, channel="delta", peer_title=" (peer: DeltaChannel, beta)", is_quick=False),
    _append(
        HUGE,
        characters=SHORT_CHUNK,
        channel="delta",
        peer_title=" (peer: DeltaChannel, beta)",
        is_long=True,
        timeout_s=3600,
    ),
    _map("map-100", 100, "map of 100 no-ops and join", target=None),
    _map("map-1000", 1000, "map of 1,000 no-ops and join", target=250),
    _map("pg-map-1000", 1000, "map of 1,000 no-ops and join, PostgreSQL", target=400, database="postgres"),
    _wait("async", "sleep", "async", target=80),
    _wait("sync", "bench_sleep_in_thread", "sync", target=120),
    _cpu("process", "in processes (peer: threads)", target=1100),
    _cpu("thread", "in threads", target=None, is_quick=False),
    Scenario(
        name="straggler",
        ours=("straggler", {"times": 3}),
        peer=("straggler", {"times": 3}),
        figures=(
            Figure(key="chain_ms", title="20 short steps beside a branch of 1 s: end of the chain", unit="ms"),
            Figure(key="alone_ms", title="… the same chain alone", unit="ms"),
            Figure(key="against_alone", title="… beside the branch against alone", unit="x", target=1.5),
        ),
    ),
    Scenario(
        name="resume",
        ours=("resume_after_kill", {"steps": 200, "pause_s": 0.01, "kills": 3}),
        peer=("resume_after_kill", {"steps": 200, "pause_s": 0.01, "kills": 3}),
        figures=(
            Figure(
                key="resume_ms",
                title="from SIGKILL to the run's next step, in another driver (peer: in a new process)",
                unit="ms",
                target=5000,
            ),
            Figure(key="slowest_resume_ms", title="… the slowest of 3", unit="ms", target=5000),
            Figure(key="taken_up_ms", title="… of which until another driver has the run", unit="ms"),
        ),
    ),
    _throughput("throughput", "200 runs of 5 steps, one driver", target=450),
    _throughput("pg-throughput", "200 runs of 5 steps, one driver, PostgreSQL", target=250, database="postgres"),
    Scenario(
        name="rest-throughput",
        ours=("rest_throughput", {"runs": 200, "threads": 8}),
        peer=("throughput", {"runs": 200, "threads": 8}),
        figures=(
            Figure(
                key="runs_s",
                title="200 runs of 5 steps over REST (peer: 8 threads in process)",
                unit="runs/s",
                more_is_better=True,
            ),
        ),
    ),
    Scenario(
        name="latency",
        ours=("latency", {"submits": 60, "pause_s": 0.1}),
        peer=("latency", {"submits": 60, "pause_s": 0.1}),
        figures=(
            Figure(
                key="p50_ms", title="submit over REST to first step, p50 (peer: call in process)", unit="ms", target=10
            ),
            Figure(
                key="p95_ms", title="submit over REST to first step, p95 (peer: call in process)", unit="ms", target=20
            ),
            Figure(key="submit_to_created_p50_ms", title="… of which until the run is created, p50", unit="ms"),
            Figure(key="created_to_claimed_p50_ms", title="… of which until a driver has it, p50", unit="ms"),
        ),
    ),
    Scenario(
        name="sockets",
        ours=("many_sockets", {"sockets": 1000, "turns": 60, "pause_s": 0.1}),
        peer=None,
        figures=(
            Figure(key="p50_ms", title="1,000 sockets on one run: from an event to its arrival, p50", unit="ms"),
            Figure(key="p95_ms", title="1,000 sockets on one run: from an event to its arrival, p95", unit="ms"),
            Figure(key="max_ms", title="1,000 sockets on one run: from an event to its arrival, slowest", unit="ms"),
            Figure(key="connecting_s", title="1,000 sockets on one run: until all are connected", unit="s"),
        ),
    ),
    Scenario(
        name="soak",
        ours=("soak", {"settled": 500, "runs": 3000}),
        peer=None,
        is_quick=False,
        figures=(
            Figure(key="settled_mib", title="memory of a driver after 500 runs of 5 steps", unit="MiB"),
            Figure(key="grown_mib", title="… and how much more after 2,500 others", unit="MiB", target=8),
            Figure(key="grown_bytes_run", title="… which is, a run", unit="B"),
        ),
    ),
)

GROWTHS: tuple[Growth, ...] = (
    Growth(
        title=f"time a step that appends, {LARGE:,} against {SMALL}",
        key="us_step",
        large=f"append-{LARGE}",
        small=f"append-{SMALL}",
        target=1.2,
    ),
)
