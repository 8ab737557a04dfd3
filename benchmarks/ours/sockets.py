"""Many WebSockets on one run that real workers execute."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from benchmarks import definitions
from benchmarks.ours.driving import MeasurementFailed, must_be_completed, publish, start
from benchmarks.ours.over_rest import PATIENCE_S, server
from benchmarks.workload import elapsed, percentile
from runs.models import Run

CONNECTED_AT_ONCE = 50

Received = list[tuple[float, str]]
"""The messages of one socket with the time of day at which each came."""


def many_sockets(*, sockets: int, turns: int, pause_s: float) -> dict[str, float]:
    """Milliseconds from an event's time to its arrival, over all sockets. Raises unless each got all of it in order."""
    with tempfile.TemporaryDirectory() as folder, server() as (url, key):
        gate = Path(folder) / "all are here"
        run = start(publish(definitions.gated_loop()), {"gate": str(gate), "turns": turns, "seconds": pause_s})
        address = f"ws://{urlsplit(url).netloc}/ws/graph/run/{run.uuid}?after=0"
        connecting_s, received = asyncio.run(_watch(address, key, sockets, gate))
    must_be_completed(run)
    waits_s = [wait_s for messages in received for wait_s in _waits_s(messages, run)]
    return {
        "connecting_s": connecting_s,
        "events": run.seq,
        "p50_ms": percentile(waits_s, 50) * 1000,
        "p95_ms": percentile(waits_s, 95) * 1000,
        "max_ms": max(waits_s) * 1000,
    }


async def _watch(address: str, key: str, sockets: int, gate: Path) -> tuple[float, list[Received]]:
    """Open the gate when all sockets have what was there before; return when all have come to the end."""
    places = asyncio.Semaphore(CONNECTED_AT_ONCE)
    here = asyncio.Semaphore(0)

    async def watch() -> Received:
        received: Received = []
        await places.acquire()
        async with connect(
            address, additional_headers={"Authorization": f"Bearer {key}"}, compression=None, open_timeout=PATIENCE_S
        ) as socket:
            async for text in socket:
                # Read now and understood later: a client that works is not what is measured.
                received.append((time.time(), str(text)))
                if len(received) == 1:
                    places.release()
                    here.release()
        return received

    start_ns = time.perf_counter_ns()
    watching = [asyncio.create_task(watch()) for _ in range(sockets)]
    async with asyncio.timeout(2 * PATIENCE_S):
        for _ in range(sockets):
            await here.acquire()
        connecting_s = elapsed(start_ns)
        await asyncio.to_thread(gate.touch)
        return connecting_s, await asyncio.gather(*watching)


def _waits_s(received: Sequence[tuple[float, str]], run: Run) -> list[float]:
    messages = [(at, json.loads(text)) for at, text in received]
    came = [(at, event) for at, message in messages if message["type"] == "events" for event in message["events"]]
    if [event["seq"] for _, event in came] != list(range(1, run.seq + 1)) or messages[-1][1]["type"] != "end":
        raise MeasurementFailed("A socket has missed an event, or got one twice or out of order.")
    first = came[0][1]["seq"] + 1
    return [at - datetime.fromisoformat(event["at"]).timestamp() for at, event in came if event["seq"] > first]
