"""What a tool gave back, in the words of the engine: the same for drivers and simulations."""

from __future__ import annotations

from runs.engine.events import Failure, Json
from runs.engine.resolving import Raised, Returned
from tools import Command


def returned(checked: Json | Command) -> Returned:
    """What `tools.results.check_result` let pass."""
    if not isinstance(checked, Command):
        return Returned(value=checked)
    targets = checked.targets
    payloads = tuple(dict(send.update) or None for send in targets)
    return Returned(
        value=checked.update,
        replace=dict(checked.set),
        delete=tuple(checked.delete),
        goto=None if checked.goto is None else tuple(send.node for send in targets),
        payloads=payloads if any(payloads) else (),
    )


def raised(error: BaseException, message: str) -> Raised:
    """What an exception is to `on_error`, with `message` for what it says."""
    names = tuple(cls.__name__ for cls in type(error).__mro__[1:-1])
    return Raised(error=Failure(type=type(error).__name__, message=message), names=names)
