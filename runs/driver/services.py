"""What a driver's executions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runs.driver.calls import Caller
from runs.driver.committer import Committer
from runs.store import Store

if TYPE_CHECKING:
    from runs.driver.execution import Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`on_over` is told when an execution has let go of its run, `on_tried` when another run may be tried beside it."""

    caller: Caller
    committer: Committer
    store: Store
    on_over: Callable[[Execution], None]
    on_tried: Callable[[], None]
