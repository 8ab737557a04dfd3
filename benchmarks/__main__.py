"""`python -m benchmarks`: measure, print the table, keep the figures."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, peers, report
from benchmarks.runner import RESULTS, Outcome, runner
from benchmarks.scenario import Scenario
from benchmarks.scenarios import GROWTHS, SCENARIOS


def main() -> int:
    options = _options()
    chosen = [scenario for scenario in SCENARIOS if is_chosen(scenario, options)]
    facts = machine.facts()
    if machine.is_busy():
        print("Other programs use this machine: its figures will be worse than it can do.", file=sys.stderr)
    try:
        peer_python = None if options.no_peer else peers.ensure_venv()
    except peers.PeersUnavailable as reason:
        print(f"{reason} Measuring ours alone.", file=sys.stderr)
        peer_python = None
    versions = machine.versions()
    outcomes: dict[str, Outcome] = {}
    with runner(peer_python, options.postgres) as measuring:
        if peer_python is not None:
            versions |= measuring.ask_peer(peer_python, "versions")
        for number, scenario in enumerate(chosen, 1):
            start_s = time.monotonic()
            outcome = outcomes[scenario.name] = measuring.measure(scenario, 1 if options.quick else options.repeats)
            took = f"{time.monotonic() - start_s:.0f} s"
            print(
                f"[{number}/{len(chosen)}] {scenario.name}: {outcome.failure or outcome.skipped or took}",
                file=sys.stderr,
                flush=True,
            )
    print(_table(chosen, outcomes))
    for name, outcome in outcomes.items():
        if outcome.skipped:
            print(f"\nNot measured: {name}. {outcome.skipped}")
    print(f"\nMedian (min..max). {_line(facts)}; {_line(versions)}.")
    print(f"Figures: {_keep(facts, versions, outcomes)}")
    return int(any(outcome.failure for outcome in outcomes.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once each, the slow ones not at all; figures are rough")
    parser.add_argument("--repeats", type=int, default=5, help="of each scenario (%(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="scenarios whose name starts so; repeatable")
    parser.add_argument("--long", action="store_true", help="the scenarios that take minutes, too")
    parser.add_argument("--postgres", metavar="URL", help="a server, for scenarios on databases that are made on it")
    parser.add_argument("--no-peer", action="store_true", help="measure this engine alone")
    options = parser.parse_args()
    if not any(is_chosen(scenario, options) for scenario in SCENARIOS):
        parser.error(f"There is no such scenario; there are {', '.join(scenario.name for scenario in SCENARIOS)}.")
    return options


def is_chosen(scenario: Scenario, options: argparse.Namespace) -> bool:
    """Whether the options ask for a scenario."""
    if scenario.is_long and not options.long:
        return False
    if options.only is not None:
        return any(scenario.name.startswith(name) for name in options.only)
    return scenario.is_quick or not options.quick


def _table(chosen: list[Scenario], outcomes: dict[str, Outcome]) -> str:
    rows = [row for scenario in chosen for row in report.rows_of(scenario, outcomes[scenario.name])]
    rows += [row for growth in GROWTHS if (row := report.growth_row(growth, outcomes))]
    return report.table(rows)


def _line(facts: dict[str, str | int | float] | dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _keep(facts: dict[str, str | int | float], versions: dict[str, str], outcomes: dict[str, Outcome]) -> Path:
    """Write everything that was measured to a file of its own."""
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    scenarios = {
        name: {"ours": outcome.ours, "langgraph": outcome.peer, "failure": outcome.failure, "skipped": outcome.skipped}
        for name, outcome in outcomes.items()
    }
    document = {"at": now.isoformat(), "machine": facts, "versions": versions, "scenarios": scenarios}
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
