"""`python -m benchmarks.ours MEASURE '{"parameter": …}'` prints one JSON object of figures."""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
django.setup()

# ruff: noqa: E402 - models need django.setup first
from benchmarks.ours import counting, loops, maps, over_rest, resuming, soak, sockets, straggler, throughput
from benchmarks.ours.driving import NotAvailableYet

MEASURES = {
    measure.__name__: measure
    for measure in (
        loops.loop,
        loops.append,
        maps.fan_out,
        straggler.straggler,
        resuming.resume_after_kill,
        throughput.throughput,
        counting.writes,
        over_rest.rest_throughput,
        over_rest.latency,
        sockets.many_sockets,
        soak.soak,
    )
}

name, parameters = sys.argv[1:]
try:
    answer = MEASURES[name](**json.loads(parameters))
except NotAvailableYet as refusal:
    answer = {"skipped": str(refusal)}
print(json.dumps(answer))
