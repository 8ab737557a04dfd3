"""`python -m benchmarks.ours MEASURE '{"parameter": …}'` prints one JSON object of figures."""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
django.setup()

from benchmarks.ours import counting, loops, maps, over_rest, throughput  # noqa: E402 - models need django.setup first

MEASURES = {
    measure.__name__: measure
    for measure in (
        loops.loop,
        loops.append,
        maps.fan_out,
        throughput.throughput,
        counting.writes,
        over_rest.rest_throughput,
        over_rest.latency,
    )
}

name, parameters = sys.argv[1:]
print(json.dumps(MEASURES[name](**json.loads(parameters))))
