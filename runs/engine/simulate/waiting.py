"""Steps that wait: for a time, for signals, for people.

Signals and answers come from the world, so they outlive the worker. A signal is kept until a step takes it, and taken
once; of several steps that wait for it the one that waits longest gets it. People are asked once for each attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from graphs.json_schema import compile_schema, complaints
from graphs.spec import HumanSpec, NodeSpec, WaitSpec
from runs.engine import Raised, Returned, View, people, waits
from runs.engine.decisions import AwaitStep, StartStep
from runs.engine.events import Json, JsonObject, StepId
from runs.engine.simulate.agenda import Agenda
from runs.engine.simulate.errors import AnswerRefused
from runs.engine.simulate.scripts import Answers, At
from runs.questions import question_of
from tools import Context

Settle = Callable[[AwaitStep, Returned | Raised], None]
"""Ends a wait, unless it is over already."""


def begin_wait(spec: WaitSpec | HumanSpec, names: Mapping[str, Json], start: StartStep, *, now: datetime) -> JsonObject:
    """What a step waits for from now on. Raises WaitInvalid and ExpressionError."""
    if isinstance(spec, WaitSpec):
        return waits.begin_wait(spec, names, now=now)
    return people.begin_task(spec, task=task_of(start), now=now)


def task_of(start: StartStep) -> str:
    """The id of the task with which an attempt asks people."""
    return f"{start.step.hex()}-{start.attempt}"


class Waiting:
    """What the steps of a run wait for, and the world that lets it happen."""

    def __init__(self, agenda: Agenda, *, answers: Mapping[str, Answers], settle: Settle) -> None:
        self._agenda = agenda
        self._answers = answers
        self._settle = settle
        self._kept: list[At] = []
        """Signals that nobody has taken yet."""
        self._given: dict[str, list[JsonObject]] = {}
        """By the task: the answers that have come, of those who were asked."""
        self._waiting: dict[StepId, tuple[AwaitStep, WaitSpec]] = {}
        """Steps that a signal or a time may let go on."""

    def add(self, decision: AwaitStep, spec: NodeSpec, seen: View) -> None:
        """The step waits, or goes on waiting in another worker."""
        question = question_of(spec, decision.wait)
        if question is not None:
            self._ask(decision, question, seen)
        if spec.wait is not None:
            self._waiting[decision.step] = decision, spec.wait
            for moment, place in waits.moments_of(decision.wait)[:1]:
                self._agenda.add(moment, partial(self._ring, decision, spec.wait, place))
            self._agenda.add(self._agenda.now, self._match)

    def forget(self, step: StepId) -> None:
        """It waits no longer."""
        self._waiting.pop(step, None)

    def lose_all(self) -> None:
        """The worker is dead; whoever takes over adds what waits."""
        self._waiting.clear()

    def receive(self, signal: At) -> None:
        """A signal has come."""
        self._kept.append(signal)
        self._match()

    def _match(self) -> None:
        """Give signals to those who wait for them."""
        for decision, spec in list(self._waiting.values()):
            for place, entry in enumerate(decision.wait.get("entries", ())):
                signal = next((kept for kept in self._kept if kept.name == entry.get("signal")), None)
                if signal is not None:
                    self._kept.remove(signal)
                    what = {"name": signal.name, "payload": signal.payload}
                    self._settle(decision, waits.came(spec, place, what))
                    break

    def _ring(self, decision: AwaitStep, spec: WaitSpec, place: int | None) -> None:
        """A time has come: that of an entry, or that of the end of all waiting."""
        if place is None:
            self._settle(decision, waits.timed_out(spec, decision.wait))
        else:
            self._settle(decision, waits.came(spec, place, {"at": decision.wait["entries"][place]["at"]}))

    # ---- people

    def _ask(self, decision: AwaitStep, human: HumanSpec, seen: View) -> None:
        for moment, _ in waits.moments_of(decision.wait):
            self._agenda.add(moment, partial(self._expire, decision, human))
        answers = self._answers.get(decision.wait.get("interrupt", ""), self._answers.get(decision.node))
        task = decision.wait["task"]
        if answers is None or task in self._given:
            return
        self._given[task] = []
        for person, script in answers.of(human.quorum):
            context = Context(step_id=decision.step.hex(), node=decision.node, attempt=decision.attempt)
            done = script.run(inputs=seen.local_names, state=seen.state, context=context, failures=0)
            if done.error is not None:
                raise done.error
            if done.value is not None:
                answered_at = self._agenda.now + timedelta(seconds=done.takes_s)
                answer = partial(self._answer, decision, human, person, done.value)
                self._agenda.add(answered_at, answer, is_durable=True)

    def _answer(self, decision: AwaitStep, human: HumanSpec, person: str, answer: Json) -> None:
        if len(self._given[decision.wait["task"]]) == human.quorum:
            return  # they were enough
        if human.form is not None:
            for problem in complaints(compile_schema(human.form), answer, at_most=1):
                raise AnswerRefused(f'The answer {answer!r} to "{decision.node}" is refused: {problem.message}.')
        given = self._given[decision.wait["task"]]
        given.append({"answer": answer, "by": person, "at": self._agenda.now.isoformat()})
        if len(given) == human.quorum:
            self._settle(decision, people.answered(human, given))

    def _expire(self, decision: AwaitStep, human: HumanSpec) -> None:
        given = self._given.get(decision.wait["task"], [])
        if len(given) < human.quorum:
            self._settle(decision, people.expired(human, given, at=decision.wait["due_at"]))
