"""What a tool may return: an object of state keys, a `Command`, or None.

A node that gives `outputs` builds its update from the result with expressions; there a tool may return any JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.errors import ToolResultError
from tools.strict_json import Json, encode


@dataclass(frozen=True, slots=True)
class Send:
    """Go to `node` in a branch of its own that sees `update` on top of the state."""

    node: str
    update: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A result that says more than new values of state keys."""

    update: Mapping[str, Json] = field(default_factory=dict)
    """New values by state key, each combined with the old one by the key's reducer."""
    set: Mapping[str, Json] = field(default_factory=dict)
    """New values by state key that replace the old ones, whatever the reducers."""
    delete: Sequence[str] = ()
    """State keys to remove."""
    goto: str | Send | Sequence[str | Send] = ()
    """Where to go, for a node whose `next` is `dynamic`."""


def check_result(value: object, *, max_bytes: int, max_depth: int) -> Json | Command:
    """Return what a tool returned as plain JSON that nobody else holds, or as a Command of such values.

    Raises JsonInvalid for what JSON cannot hold (the limits apply to each part of a Command), ToolResultError for a
    Command with parts of the wrong type.
    """
    if not isinstance(value, Command):
        return encode(value, max_bytes=max_bytes, max_depth=max_depth)[1]

    def values(part: str, given: object) -> dict[str, Json]:
        if not isinstance(given, Mapping):
            raise _wrong(f"Command({part}=…)", given, "an object of state keys")
        plain: dict[str, Json] = encode(dict(given), max_bytes=max_bytes, max_depth=max_depth)[1]
        return plain

    def target(given: object) -> Send:
        match given:
            case str():
                return Send(given)
            case Send(node=str()):
                return Send(given.node, values("goto=Send", given.update))
        raise _wrong("Command(goto=…)", given, "node names and Send objects")

    goto = [value.goto] if isinstance(value.goto, str | Send) else value.goto
    if not isinstance(goto, Sequence):
        raise _wrong("Command(goto=…)", goto, "node names and Send objects")
    return Command(
        update=values("update", value.update),
        set=values("set", value.set),
        delete=_keys(value.delete),
        goto=tuple(map(target, goto)),
    )


def as_command(value: Json | Command) -> Command:
    """Return the update that a checked result stands for, where the node has no `outputs`.

    Raises ToolResultError if the result is JSON but not an object.
    """
    match value:
        case Command():
            return value
        case None:
            return Command()
        case dict():
            return Command(update=value)
    raise _wrong("The tool", value, "an object of state keys, a Command or None, or let the node's outputs make one")


def _keys(given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(key, str) for key in given):
        raise _wrong("Command(delete=…)", given, "a list of state keys")
    return tuple(given)


def _wrong(place: str, given: object, wanted: str) -> ToolResultError:
    verb = "returned" if place == "The tool" else "was given"
    return ToolResultError(f"{place} {verb} a value of type {type(given).__name__}; give {wanted}.")
