"""From a decision to a running tool: its arguments, its context, its executor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.conf import settings

from graphs.plan import NodePlan
from runs.driver import locking
from runs.driver.atomic import AtomicCall, Owner, has_one_writer
from runs.driver.heartbeats import Heartbeats
from runs.driver.invoke import Call
from runs.driver.logs import BoundedLog, BoundedStream
from runs.driver.process import messages
from runs.driver.process.pool import ProcessPool
from runs.driver.reuse import entry_of, reuse
from runs.driver.subgraphs import find_child
from runs.driver.threads import DaemonPool
from runs.engine import RunState, View, heartbeat_of, parts_of, view
from runs.engine.branches import Branch
from runs.engine.compensating import undoing_call
from runs.engine.decisions import StartStep
from runs.engine.events import Json, StepId
from runs.engine.retries import DeadlineExceeded
from runs.store import ClaimedRun
from tools import Context, Parts, registry
from tools.base import Tool
from tools.calling import NO_NAMES, bind
from tools.errors import ToolInputError

NO_CONTEXT = Context()
"""For tools that take none: making one takes a twentieth of the driver's time for a step."""


class Listener(Protocol):
    """Where a tool's words go, on the event loop."""

    def log(self, start: StartStep, message: str, level: str) -> None:
        """A line for the journal."""

    def stream(self, start: StartStep, text: str) -> None:
        """Text for whoever watches."""

    def beat(self, start: StartStep, details: Json) -> None:
        """What a tool has reported with a heartbeat, now and then."""

    def record(self, start: StartStep, name: str, value: Json, kept: Callable[[], None]) -> None:
        """What a part of the tool gave; `kept` is called when that is on disk."""


@dataclass(slots=True, kw_only=True)
class Order:
    """A step that is to be done."""

    call: Call
    start: StartStep
    run: ClaimedRun
    state: RunState
    deadline: datetime | None
    """When the step has to be over, all its attempts together."""
    owner: Owner
    listener: Listener
    lockers: Sequence[Branch]
    """The branches whose locks are to be taken before."""
    on_held: Callable[[StepId], None]
    """Is told which steps hold their locks."""
    node: NodePlan = field(init=False)

    def __post_init__(self) -> None:
        self.node = self.state.branches[self.start.step].node_plan

    @property
    def left_s(self) -> float | None:
        """How much time is left for all attempts together."""
        return None if self.deadline is None else (self.deadline - datetime.now(UTC)).total_seconds()

    def timeout_s(self, default_s: float) -> float:
        """How long this attempt may take. Raises DeadlineExceeded if no time is left."""
        limit_s, left_s = self.node.spec.timeout_s or default_s, self.left_s
        if left_s is None:
            return limit_s
        if left_s <= 0:
            raise DeadlineExceeded(f"The step has used up its deadline_s of {self.node.spec.deadline_s:g} s.")
        return min(limit_s, left_s)


class Caller:
    """Starts calls for all runs of one driver."""

    def __init__(self, pool: DaemonPool, processes: ProcessPool) -> None:
        self._pool = pool
        self._processes = processes
        self._limits = settings.WORKFLOW
        self._part_limits = messages.part_limits()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()

    def start(self, order: Order) -> None:
        """Do what a step is for. Whatever prevents that becomes the call's error.

        The call ends with LockBusy, and nothing is done, if another step holds a lock that is needed.
        """
        if order.lockers:
            go_on = partial(self._start, order)
            order.call.prepare(locking.take_first(order.call, order.run, order.lockers, order.on_held, go_on))
        else:
            self._start(order)

    def look_for_lock(self, call: Call, run: ClaimedRun, state: RunState, step: StepId, name: str) -> None:
        """End the call with whether the step holds the lock that it waits for."""
        call.prepare(locking.look_again(call, run, state.branches[step], name))

    def _start(self, order: Order) -> None:
        node = order.node
        try:
            timeout_s = order.timeout_s(self._limits.default_timeout_s)
            if order.start.compensates is not None:
                self._compensate(order, timeout_s)
            elif node.graph is not None:
                self._find_child(order, node.graph)
            elif node.spec.tool is not None:
                self._call_or_reuse(order, registry.get(node.spec.tool), timeout_s)
            else:
                order.call.pass_on(None)
        except Exception as error:  # of the registry, an expression, the signature: all are the step's failure
            order.call.fail(error)

    def _find_child(self, order: Order, reference: Callable[[View], Json]) -> None:
        """Look for the subgraph in a thread: that takes a database, or a compiler."""
        seen = view(order.state, order.start.step)
        find = partial(find_child, order.run.organization_id, reference(seen), _inputs(order.node, seen))
        order.call.run_in_thread(find, {}, timeout_s=self._limits.default_timeout_s, pool=self._pool)

    def _call_or_reuse(self, order: Order, tool: Tool, timeout_s: float) -> None:
        """Call the tool of a node, unless its result was computed before and the node takes that."""
        node, seen = order.node, view(order.state, order.start.step)
        inputs = _inputs(node, seen)
        if node.spec.cache is None:
            self._call(order, tool, inputs, seen.state, timeout_s, local_names=seen.local_names)
            return
        entry = entry_of(
            node,
            tool,
            organization_id=order.run.organization_id,
            inputs=inputs,
            seen=seen,
            origin=f"{order.run.uuid}:{order.start.step.hex()}",
        )

        def compute() -> None:  # it may have waited for somebody else, which took time
            timeout_s = order.timeout_s(self._limits.default_timeout_s)
            self._call(order, tool, inputs, seen.state, timeout_s, local_names=seen.local_names)

        order.call.prepare(reuse(order.call, entry, compute, left_s=order.left_s))

    def _compensate(self, order: Order, timeout_s: float) -> None:
        """Call what undoes a step."""
        undoing = undoing_call(order.state)
        if undoing is None:
            order.call.pass_on(None)
        else:
            self._call(order, registry.get(undoing.tool), undoing.inputs, undoing.state, timeout_s)

    def _call(
        self,
        order: Order,
        tool: Tool,
        inputs: Mapping[str, Json],
        state: Mapping[str, Json],
        timeout_s: float,
        *,
        local_names: Mapping[str, Json] = NO_NAMES,
    ) -> None:
        call, executor = order.call, _executor(order.node, tool)
        if tool.atomic and executor != "thread":
            raise ToolInputError(
                f'The tool {tool.name!r} is atomic, so it runs in a thread; remove "executor": "{executor}".'
            )
        context = NO_CONTEXT
        if tool.takes_context or executor == "process":
            context = self._context(order, timeout_s, refusal=_refusal_of_steps(tool, executor))
        arguments = bind(tool, inputs=inputs, local_names=local_names, state=state, context=context)
        call.expect_heartbeats(every_s=order.node.spec.heartbeat_timeout_s)
        if tool.atomic:
            atomic = AtomicCall(order, order.owner, tool.function, arguments)
            timeout_s = min(timeout_s, self._limits.atomic_lock_s) if has_one_writer() else timeout_s
            call.run_in_transaction(atomic.work, atomic.withdraw, timeout_s=timeout_s, pool=self._pool)
            return
        match executor:
            case "process":
                request = messages.call(
                    tool, inputs=inputs, local_names=local_names, state=state, context=context, timeout_s=timeout_s
                )
                call.run_in_process(request, context, timeout_s=timeout_s, pool=self._processes)
            case "inline" if tool.is_async:
                call.run_coroutine(tool, arguments, timeout_s=timeout_s)
            case "inline":
                call.run_inline(tool, arguments)
            case _:
                call.run_in_thread(tool.function, arguments, timeout_s=timeout_s, pool=self._pool)

    def _record(self, order: Order, name: str, value: Json) -> Future[None]:
        """Keep a part of a tool. Called from any thread."""
        recorded: Future[None] = Future()
        self._on_loop(self._record_on_loop, order, name, value, recorded)
        return recorded

    def _record_on_loop(self, order: Order, name: str, value: Json, recorded: Future[None]) -> None:
        order.call.await_record(recorded)
        if not order.call.over:
            order.listener.record(order.start, name, value, partial(_tell, recorded))

    def _context(self, order: Order, timeout_s: float, *, refusal: str) -> Context:
        call, start, listener, limits = order.call, order.start, order.listener, self._limits
        log = BoundedLog(
            emit=partial(self._on_loop, listener.log, start),
            max_line_bytes=limits.max_log_line_bytes,
            max_step_bytes=limits.max_log_step_bytes,
        )
        return Context(
            run_id=str(order.run.uuid),
            step_id=start.step.hex(),
            node=start.node,
            attempt=start.attempt,
            deadline=datetime.now(UTC) + timedelta(seconds=timeout_s),
            last_heartbeat=heartbeat_of(order.state, start.step),
            parts=Parts(
                parts_of(order.state, start.step),
                record=partial(self._record, order),
                limits=self._part_limits,
                refusal=refusal,
            ),
            on_log=log,
            on_stream=BoundedStream(
                emit=partial(self._on_loop, listener.stream, start), max_step_bytes=limits.max_stream_step_bytes
            ),
            on_heartbeat=Heartbeats(call, keep=partial(listener.beat, start), on_loop=self._on_loop),
            is_cancelled=lambda: call.over,
        )

    def _on_loop(self, say: Callable[..., None], *words: Any) -> None:
        """Tools speak from any thread; what they say before they return is heard before they have returned."""
        if threading.get_ident() == self._loop_thread:
            say(*words)
        else:
            self._loop.call_soon_threadsafe(say, *words)


def _inputs(node: NodePlan, seen: View) -> dict[str, Json]:
    return {name: value(seen) for name, value in node.inputs.items()}


def _tell(recorded: Future[None]) -> None:
    """The tool may go on, if it still waits."""
    if not recorded.done():
        recorded.set_result(None)


def _refusal_of_steps(tool: Tool, executor: str) -> str:
    """Why the tool can have no steps, if that is so."""
    if tool.atomic:
        return "an atomic tool is done as a whole or not at all. Give the node before it what is to be kept."
    if executor == "inline" and not tool.is_async:
        return (
            'a plain function with "executor": "inline" would hold up the loop that records it. '
            "Leave the executor out, or make the tool async."
        )
    return ""


def _executor(node: NodePlan, tool: Tool) -> str:
    """Coroutines run on the loop and functions in threads, unless the node says otherwise."""
    return node.spec.executor or ("inline" if tool.is_async else "thread")
