"""Every move a node may make, whatever its tool returns: the edges that the masks are made of."""

from __future__ import annotations

from graphs.spec import END, Case, Choice, Dynamic, Each, HumanSpec, MapRoute, NodeSpec, Switch, To, WaitSpec

Targets = tuple[str, ...]


def moves_of(node: NodeSpec, *, map_join: str = END) -> Targets:
    """Targets of the node in its own scope, in the order of the definition's lists, `end` included.

    For a map these are its join (`map_join`) and its error handlers: the items' branches stay in their own scopes.
    A repeated target is named once.
    """
    moves: list[str] = [*_route_moves(node, map_join)]
    for case in node.on_error:
        moves += case.to
    if node.human is not None:
        moves += _human_moves(node.human)
    if node.wait is not None:
        moves += _wait_moves(node.wait)
    return tuple(dict.fromkeys(moves))


def _route_moves(node: NodeSpec, map_join: str) -> Targets:
    match node.next:
        case None:
            return (END,)
        case To(to=targets) | Dynamic(targets=targets):
            return targets
        case Choice(if_true=if_true, if_false=if_false):
            return if_true + if_false
        case Switch(cases=cases, default=default):
            return _cases(cases, default or ())
        case Each(cases=cases, default=default):
            return _cases(cases, default or (END,))
        case MapRoute():
            return (map_join,)


def _cases(cases: tuple[Case, ...], default: Targets) -> Targets:
    return tuple(target for case in cases for target in case.to) + default


def _human_moves(human: HumanSpec) -> Targets:
    return (human.on_due,) if isinstance(human.on_due, str) else ()


def _wait_moves(wait: WaitSpec) -> Targets:
    entries = wait.any or ()
    return tuple(target for entry in entries for target in entry.next or ()) + (wait.on_timeout or ())
