"""What a tool may return: an object of state keys, a `Command`, or None.

A node that gives `outputs` builds its update from the result with expressions; there a tool may return any JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    goto: str | Send | Sequence[str | Send] | None = None
    """Where to go, for a node whose `next` is `dynamic`; an empty list: nowhere, the branch ends."""

    @property
    def targets(self) -> tuple[Send, ...]:
        """What `goto` says, in its order."""
        if self.goto is None:
            return ()
        goto = [self.goto] if isinstance(self.goto, str | Send) else self.goto
        return tuple(Send(target) if isinstance(target, str) else target for target in goto)


def check_result(value: object, *, max_bytes: int, max_depth: int) -> Json | Command:
    """Return what a tool returned as plain JSON that nobody else holds, or as a Command of such values.

    Raises JsonInvalid for what JSON cannot hold (the limits apply to each part of a Command), ToolResultError for a
    Command with parts of the wrong type.
    """

    def plain(part: object) -> Json:
        return encode(part, max_bytes=max_bytes, max_depth=max_depth)[1]

    if not isinstance(value, Command):
        return plain(value)
    return Command(
        update=plain(_object("update", value.update)),
        set=plain(_object("set", value.set)),
        delete=tuple(plain(_names(value.delete))),
        goto=None if value.goto is None else [Send(plain(node), plain(update)) for node, update in _targets(value)],
    )


def packed(result: Json | Command) -> dict[str, Json]:
    """What `check_result` let pass, as one JSON object that `unpacked` reads."""
    if not isinstance(result, Command):
        return {"value": result}
    command = {
        "update": result.update,
        "set": result.set,
        "delete": list(result.delete),
        "goto": None if result.goto is None else [[send.node, send.update] for send in result.targets],
    }
    return {"command": command}


def unpacked(stored: Mapping[str, Json]) -> Json | Command:
    """The result that `packed` made this of."""
    command = stored.get("command")
    if command is None:
        return stored["value"]
    goto = None if command["goto"] is None else [Send(node, update) for node, update in command["goto"]]
    return Command(update=command["update"], set=command["set"], delete=command["delete"], goto=goto)


def _object(part: str, given: object) -> dict[str, Json]:
    if not isinstance(given, Mapping):
        raise _wrong(part, given, "an object of state keys")
    return dict(given)


def _names(given: object) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise _wrong("delete", given, "a list of state keys")
    for name in given:
        if not isinstance(name, str):
            raise _wrong("delete", name, "a list of state keys")
    return list(given)


def _targets(command: Command) -> Iterator[tuple[str, dict[str, Json]]]:
    if not isinstance(command.goto, str | Send | Sequence):
        raise _wrong("goto", command.goto, "node names and Send objects")
    for target in command.targets:
        if not isinstance(target, Send) or not isinstance(target.node, str):
            raise _wrong("goto", target, "node names and Send objects")
        yield target.node, _object("goto=Send", target.update)


def _wrong(part: str, given: object, wanted: str) -> ToolResultError:
    return ToolResultError(f"Command({part}=…) was given a value of type {type(given).__name__}; give {wanted}.")
