"""What is measured, and the targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table: a number that a scenario reports."""

    key: str
    """Its name in what the scenario prints."""
    title: str
    unit: str
    more_is_better: bool = False
    target: float | None = None
    """The most our median may be; the least where more is better."""
    target_ratio: float | None = None
    """How many times better than the peer's median ours has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A measurement that runs in a fresh process, on a fresh database file, on each side."""

    name: str
    ours: tuple[str, Mapping[str, Any]]
    """The measure of `benchmarks.ours` and its parameters."""
    peer: tuple[str, Mapping[str, Any]] | None
    """The measure of `benchmarks.langgraph_side`; None where there is nothing to compare."""
    figures: tuple[Figure, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of our side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A row that divides the medians of two scenarios: how a figure grows with the size of the work."""

    title: str
    key: str
    large: str
    small: str
    target: float


def _steps(
    name: str, title: str, *, target: float | None = None, target_ratio: float | None = None, **setting: Any
) -> tuple[Scenario, ...]:
    tool, durability = setting.get("tool", "bench_count"), setting.get("durability", "sync")
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
            environment=setting.get("environment", {}),
        )
        for steps in (100, 1000)
    )


def _append(steps: int, *, channel: str = "list", peer_title: str = "") -> Scenario:
    title = f"{steps:,} steps that append 1 KiB{peer_title}"
    figures = [
        Figure(key="took_ms", title=title, unit="ms"),
        Figure(key="us_step", title=f"{title}: a step", unit="µs"),
        Figure(key="stored_bytes", title=f"{title}: stored", unit="B"),
        Figure(key="stored_ratio", title=f"{title}: stored / appended", unit="x", target=3.0),
    ]
    if steps == LARGE and channel == "list":
        figures += [
            Figure(
                key="stored_ratio_without_snapshots", title=f"{title}: the same without snapshots", unit="x", target=1.8
            ),
            Figure(
                key="slowest_read_ms", title=f"{title}: slowest reading of its state at any seq", unit="ms", target=50
            ),
        ]
    return Scenario(
        name=f"append-{steps}" + ("" if channel == "list" else f"-{channel}"),
        ours=("append", {"steps": steps}),
        peer=("append", {"steps": steps, "channel": channel}),
        figures=tuple(figures),
    )


SMALL, LARGE = 100, 1600

SCENARIOS: tuple[Scenario, ...] = (
    *_steps("step", "committed before the next", target=200, target_ratio=4.5),
    *_steps("step-thread", "tool in a thread", tool="bench_count_in_thread", target=400),
    *_steps("step-full", "synchronous FULL", environment={"WORKFLOW_SQLITE_SYNCHRONOUS": "FULL"}),
    *_steps("step-async", "durability async", durability="async"),
    *_steps("step-exit", "durability exit", durability="exit", target=60),
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
    _append(LARGE, channel="delta", peer_title=" (peer: DeltaChannel, beta)"),
    Scenario(
        name="map-1000",
        ours=("fan_out", {"items": 1000, "tool": "noop", "inputs": {}}),
        peer=("fan_out", {"items": 1000, "wait_s": 0, "style": "sync"}),
        figures=(Figure(key="took_ms", title="map of 1,000 no-ops and join", unit="ms", target=250),),
    ),
    Scenario(
        name="wait-100-async",
        ours=("fan_out", {"items": 100, "tool": "sleep", "inputs": {"seconds": 0.05}}),
        peer=("fan_out", {"items": 100, "wait_s": 0.05, "style": "async"}),
        figures=(Figure(key="took_ms", title="100 items that wait 50 ms, async", unit="ms", target=80),),
    ),
    Scenario(
        name="wait-100-thread",
        ours=("fan_out", {"items": 100, "tool": "bench_sleep_in_thread", "inputs": {"seconds": 0.05}}),
        peer=("fan_out", {"items": 100, "wait_s": 0.05, "style": "sync"}),
        figures=(Figure(key="took_ms", title="100 items that wait 50 ms, sync", unit="ms", target=120),),
    ),
    Scenario(
        name="throughput",
        ours=("throughput", {"runs": 200}),
        peer=("throughput", {"runs": 200, "threads": 8}),
        figures=(
            Figure(
                key="runs_s", title="200 runs of 5 steps, one driver", unit="runs/s", more_is_better=True, target=450
            ),
        ),
    ),
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
