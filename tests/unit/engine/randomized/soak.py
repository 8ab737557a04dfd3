"""The campaign at length: `.venv/bin/python -m tests.unit.engine.randomized.soak --samples 3000 --orders 22`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.unit.engine.randomized.campaign import KINDS, campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000, help="random graphs of each kind")
    parser.add_argument("--orders", type=int, default=22, help="orders of outcomes for each of them")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    options = parser.parse_args()
    failed = False
    for kind in options.kinds:
        begun = time.perf_counter()
        report = campaign(kind, range(options.first, options.first + options.samples), options.orders)
        counts = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
        print(f"{kind}: {counts}; {len(report.failures)} failures; {time.perf_counter() - begun:.0f} s", flush=True)
        for seed, order, what in report.failures[:20]:
            print(f"  seed {seed}, order {order}: {what}", flush=True)
        failed = failed or bool(report.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
