"""The forms of `next`, compiled to functions from names to targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphs.errors import GraphsError
from graphs.expressions import compile_condition
from graphs.spec import END, Case, Choice, Each, NodeSpec, Switch, To

Json = Any
Names = Mapping[str, Json]
Targets = tuple[str, ...]
Chooser = Callable[[Names], Targets]
Test = Callable[[Names], bool]


class NoRoute(GraphsError):
    """No case of a switch is true, and it has no default."""

    code = "no-route"


def compile_route(name: str, node: NodeSpec) -> Chooser | None:
    """Where the node leads, given the state after its update. None for a map and for dynamic targets."""
    match node.next:
        case None:
            return _always((END,))
        case To(to=targets):
            return _always(targets)
        case Choice(condition=condition, if_true=if_true, if_false=if_false):
            return _choice(compile_condition(condition), if_true, if_false)
        case Switch(cases=cases, default=default):
            return _switch(name, _compiled(cases), default)
        case Each(cases=cases, default=default):
            return _each(_compiled(cases), default or ())
        case _:
            return None


def _compiled(cases: tuple[Case, ...]) -> list[tuple[Test, Targets]]:
    return [(compile_condition(case.when), case.to) for case in cases]


def _always(targets: Targets) -> Chooser:
    return lambda names: targets


def _choice(test: Test, if_true: Targets, if_false: Targets) -> Chooser:
    return lambda names: if_true if test(names) else if_false


def _switch(name: str, cases: list[tuple[Test, Targets]], default: Targets | None) -> Chooser:
    def choose(names: Names) -> Targets:
        for test, targets in cases:
            if test(names):
                return targets
        if default is None:
            raise NoRoute(f'No case of the switch at "{name}" is true; add a default.')
        return default

    return choose


def _each(cases: list[tuple[Test, Targets]], default: Targets) -> Chooser:
    def choose(names: Names) -> Targets:
        matches = [targets for test, targets in cases if test(names)]
        return sum(matches, ()) if matches else default

    return choose
