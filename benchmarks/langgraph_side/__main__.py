"""`python -m benchmarks.langgraph_side MEASURE '{"parameter": …}'` prints one JSON object of figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks.langgraph_side import loops, maps, resuming, short_runs, straggler


def versions() -> dict[str, str]:
    names = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres")
    return {name: version(name) for name in names}


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    measure.__name__: measure
    for measure in (
        loops.loop,
        loops.append,
        maps.fan_out,
        short_runs.throughput,
        short_runs.latency,
        straggler.straggler,
        resuming.resume_after_kill,
        versions,
    )
}

name, parameters = sys.argv[1:]
print(json.dumps(MEASURES[name](**json.loads(parameters))))
