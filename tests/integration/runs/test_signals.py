"""Signals: kept, taken once, by run and by business key, in a real driver."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.utils import timezone

from runs import control
from runs.driver import waiting
from runs.errors import IdempotencyConflict, RunFinished, TooManySignals
from runs.models import Event, Mailbox, Run, Signal
from runs.selectors import current_state
from runs.signals import signal_business_key, signal_run
from runs.store import Store, open_store
from runs.store.signals import MAX_MARKS, TakenSignal
from tests.support.runs import driving, finish, is_waiting, start
from tests.support.waiting import wait_until
from tools.strict_json import JsonInvalid

pytestmark = pytest.mark.django_db(transaction=True)

PAID = {"w": {"wait": {"signal": "paid"}}}
TWICE = {
    "w": {"wait": {"signal": "paid"}, "outputs": {"seen": "= result.payload"}, "next": "x"},
    "x": {"wait": {"signal": "paid"}, "outputs": {"seen": "= result.payload"}},
}
APPEND = {"reducers": {"seen": "append"}, "defaults": {"seen": []}}


def take(store: Store, run: Run, waits: dict[bytes, list[str]], *, epoch: int | None = None) -> TakenSignal | None:
    """Take the oldest signal for the first step that waits for its name."""
    epoch = run.epoch if epoch is None else epoch
    names = {name for wanted in waits.values() for name in wanted}
    while kept := store.kept_signals(run.pk, epoch, names, limit=1):
        step = next(step for step, wanted in waits.items() if kept[0].name in wanted)
        payload = store.take_signal(run.pk, epoch, kept[0].id, step, now=datetime.now(UTC))
        if payload is not None:
            return TakenSignal(step, kept[0].name, payload)
    return None


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store()
    yield store
    store.close()


def state_of(run: Run) -> dict:
    return current_state(run).values


def test_a_signal_ends_the_wait_and_an_object_is_the_update(actor):
    with driving():
        run = start(actor, PAID)
        wait_until(lambda: is_waiting(run), "it has left memory")
        signal = signal_run(run=run, name="paid", payload={"amount": 3}, actor=actor)
        assert finish(run).status == "completed"
    assert state_of(run) == {"amount": 3}
    signal.refresh_from_db()
    assert signal.consumed_at is not None
    assert signal.step is not None
    assert Event.objects.filter(run=run, type="StepCompleted").count() == 1


def test_a_signal_that_comes_before_its_wait_is_kept(actor):
    run = start(actor, PAID)
    signal_run(run=run, name="paid", payload={"amount": 3}, actor=actor)
    signal_run(run=run, name="shipped", payload={"amount": 4}, actor=actor)
    with driving():
        finish(run)
    assert state_of(run) == {"amount": 3}
    assert list(Signal.objects.filter(consumed_at=None).values_list("name", flat=True)) == ["shipped"]
    assert not Mailbox.objects.filter(consumed_at=None).exists()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_the_oldest_signal_is_taken_first_and_each_once(actor, durability):
    run = start(actor, TWICE, state=APPEND, durability=durability)
    for number in (1, 2, 3):
        signal_run(run=run, name="paid", payload=number, actor=actor)
    with driving():
        finish(run)
    assert state_of(run) == {"seen": [1, 2]}
    assert Signal.objects.get(consumed_at=None).payload == "3"


def test_the_first_of_several_goes_its_own_way(actor):
    several = {"any": [{"signal": "paid"}, {"signal": "refused", "next": "r"}, {"seconds": 3600}]}
    nodes = {"w": {"wait": several, "outputs": {"fired": "= result.fired", "who": "= result.payload"}}, "r": {}}
    with driving():
        run = start(actor, nodes)
        wait_until(lambda: is_waiting(run), "it has left memory")
        signal_run(run=run, name="refused", payload="bank", actor=actor)
        finish(run)
    assert state_of(run) == {"fired": 1, "who": "bank"}
    assert Event.objects.filter(run=run, data__contains='"node":"r"').exists()


def test_by_business_key_one_run_takes_it_and_others_wait_on(actor, stranger_actor):
    with driving(), driving():
        runs = [start(actor, PAID, business_key="order 7") for _ in range(3)]
        other_key = start(actor, PAID, business_key="order 8")
        elsewhere = start(stranger_actor, PAID, business_key="order 7")
        wait_until(lambda: all(map(is_waiting, [*runs, other_key, elsewhere])), "they have left memory")
        for number in (1, 2):
            signal_business_key(business_key="order 7", name="paid", payload={"number": number}, actor=actor)

        def over() -> list[Run]:
            return [run for run in Run.objects.filter(pk__in=[run.pk for run in runs]) if run.is_terminal]

        wait_until(lambda: len(over()) == 2, "two have taken one each")
        assert sorted(state_of(run)["number"] for run in over()) == [1, 2]
        unread = Mailbox.objects.filter(consumed_at=None).exclude(run__in=over())
        wait_until(lambda: not unread.exists(), "the third has looked, too")
        assert len(over()) == 2
        wait_until(lambda: is_waiting(other_key) and is_waiting(elsewhere), "the others wait on")


def test_a_signal_by_business_key_waits_for_a_run_that_is_started_later(actor):
    signal_business_key(business_key="order 7", name="paid", payload={"number": 1}, actor=actor)
    with driving():
        run = finish(start(actor, PAID, business_key="order 7"))
    assert state_of(run) == {"number": 1}
    assert Signal.objects.get().run == run


def test_a_run_that_is_over_is_sent_nothing(actor):
    run = start(actor, PAID)
    with driving():
        control.cancel_run(run=run, actor=actor)
        finish(run)
    with pytest.raises(RunFinished):
        signal_run(run=run, name="paid", payload=None, actor=actor)
    assert not Signal.objects.exists()


def test_a_signal_that_is_sent_again_with_its_key_is_the_same(actor):
    run = start(actor, PAID)

    def send(key: str, payload: int, **to: object) -> Signal:
        send = signal_run if "run" in to else signal_business_key
        return send(**to, name="paid", payload=payload, actor=actor, idempotency_key=key)

    assert send("a", 1, run=run) == send("a", 1, run=run)
    assert send("b", 1, business_key="k") == send("b", 1, business_key="k")
    for key, payload, to in [("a", 2, {"run": run}), ("a", 1, {"business_key": "k"}), ("b", 1, {"run": run})]:
        with pytest.raises(IdempotencyConflict):
            send(key, payload, **to)
    assert Signal.objects.count() == 2


def test_no_more_are_kept_than_the_limit_and_no_larger_ones(actor, settings):
    settings.WORKFLOW = django_settings.WORKFLOW.model_copy(update={"max_kept_signals": 2, "max_update_bytes": 5})
    run = start(actor, PAID)
    for to in ({"run": run}, {"business_key": "k"}):
        send = signal_run if "run" in to else signal_business_key
        for payload in ("abc", "abc"):
            send(**to, name="paid", payload=payload, actor=actor)
        with pytest.raises(TooManySignals):
            send(**to, name="paid", payload="abc", actor=actor)
        with pytest.raises(JsonInvalid):
            send(**to, name="paid", payload="abcd", actor=actor)


def test_a_cancelled_step_leaves_its_signal_to_others(actor, store):
    """A driver took it for the step, died, and the next one finds the cancellation first."""
    with driving():
        run = start(actor, PAID, business_key="order 7")
        wait_until(lambda: is_waiting(run), "it has left memory")
    signal = signal_business_key(business_key="order 7", name="paid", payload={"number": 1}, actor=actor)
    run.refresh_from_db()
    step = bytes(run.steps.get().step)
    taken = take(store, run, {step: ["paid"]})
    assert taken.payload == '{"number":1}'
    # The mail of the cancellation comes first.
    Mailbox.objects.filter(run=run).delete()
    control.cancel_run(run=run, actor=actor)
    with driving():
        assert finish(run).status == "cancelled"
        signal.refresh_from_db()
        assert (signal.consumed_at, signal.run, signal.step) == (None, None, None)
        assert state_of(finish(start(actor, PAID, business_key="order 7"))) == {"number": 1}


def test_a_signal_that_was_taken_wins_over_the_timeout_that_came_after(actor, store):
    with driving():
        run = start(actor, {"w": {"wait": {"signal": "paid", "timeout_s": 6}}})
        wait_until(lambda: is_waiting(run), "it has left memory")
    signal_run(run=run, name="paid", payload={"number": 1}, actor=actor)
    run.refresh_from_db()
    step = bytes(run.steps.get().step)
    assert take(store, run, {step: ["paid"]})
    entry = Event.objects.get(run=run, type="StepWaiting")
    data = entry.data.replace(entry.data.split('"timeout_at":"')[1][:19], "2026-01-01T00:00:00")
    Event.objects.filter(pk=entry.pk).update(data=data)
    with driving():
        assert finish(run).status == "completed"
    assert state_of(run) == {"number": 1}


def test_a_driver_that_has_lost_the_run_takes_nothing(actor, store):
    run = start(actor, PAID)
    signal_run(run=run, name="paid", payload=1, actor=actor)
    assert take(store, run, {b"0123456789": ["paid"]}, epoch=run.epoch + 1) is None
    (kept,) = store.kept_signals(run.pk, run.epoch, ["paid"], limit=2)
    now = datetime.now(UTC)
    assert store.take_signal(run.pk, run.epoch + 1, kept.id, b"0123456789", now=now) is None
    assert store.take_signal(run.pk, run.epoch, kept.id, b"0123456789", now=now) == "1"


def test_steps_are_served_in_order_and_each_signal_goes_to_one_of_all_who_ask(actor, store):
    run, rival = (start(actor, PAID, business_key="k") for _ in range(2))
    for number in range(40):
        signal_business_key(business_key="k", name="even" if number % 2 == 0 else "odd", payload=number, actor=actor)
    waits = {bytes([number] * 10): ["odd", "even"] if number == 0 else ["odd"] for number in range(12)}
    got: dict[int, list] = {}

    def ask(run: Run) -> None:
        store, left = open_store(), dict(waits)
        got[run.pk] = []
        try:
            while left and (signal := take(store, run, left)):
                got[run.pk].append(signal)
                del left[signal.step]
        finally:
            store.close()
            connections.close_all()

    threads = [threading.Thread(target=ask, args=(each,)) for each in (run, rival)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    payloads = [int(signal.payload) for signals in got.values() for signal in signals]
    assert len(payloads) == len(set(payloads))
    assert sum(number % 2 for number in payloads) == 20, "all odd ones are gone"
    for signals in got.values():
        odd = [int(signal.payload) for signal in signals if signal.name == "odd"]
        assert odd == sorted(odd)


def test_a_run_that_commits_at_its_end_is_handed_back_between_its_waits(actor):
    """A signal that is found right after a commit leads to a step which a driver that ends does not start."""
    with driving():
        thrice = {**TWICE, "x": {**TWICE["x"], "next": "y"}, "y": TWICE["x"]}
        run = start(actor, thrice, state=APPEND, durability="exit")
        wait_until(lambda: is_waiting(run), "it has left memory")
    Run.objects.filter(pk=run.pk).update(quarantined=True)
    for number in (1, 2, 3):
        signal_run(run=run, name="paid", payload=number, actor=actor)
    with driving(quarantine=True), driving():
        finish(run)
    assert state_of(run) == {"seen": [1, 2, 3]}


def test_a_step_that_another_ones_signal_cancels_takes_none(actor):
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"wait": {"signal": "paid"}, "next": "j"},
        "b": {"wait": {"signal": "paid"}, "next": "j"},
        "j": {"join": "any"},
    }
    for number in (1, 2):
        signal_business_key(business_key="order 7", name="paid", payload={"number": number}, actor=actor)
    with driving():
        run = finish(start(actor, nodes, business_key="order 7"))
    assert state_of(run) == {"number": 1}
    assert Signal.objects.get(consumed_at=None).payload == '{"number":2}'


#   s ──► w (go) of each item ──► j
CROWD = {
    "s": {"next": {"map": "= items", "as": "item", "to": "w", "join": "j", "collect": {"got": "= got"}}},
    "w": {"wait": {"signal": "go"}, "outputs": {"got": "= result.payload"}, "next": "j"},
    "j": {},
}


def crowd(actor, size: int) -> Run:
    """A run of which so many steps wait."""
    with driving():
        run = start(actor, CROWD, {"items": list(range(size))})
        wait_until(lambda: is_waiting(run), "it has left memory")
    return run


def keep(run: Run, size: int) -> None:
    """Keep so many signals for it, of which it is told once."""
    now, name = timezone.now(), "go"
    Signal.objects.bulk_create(
        Signal(organization_id=run.organization_id, run=run, name=name, payload=str(number), created_at=now)
        for number in range(size)
    )
    Mailbox.objects.create(run=run, kind="signal", payload="{}", created_at=now)
    Run.objects.filter(pk=run.pk).update(wake_at=now)


def test_what_a_signal_costs_does_not_depend_on_how_many_steps_wait(actor, store, monkeypatch):
    asked = []
    kind = type(store)
    rows = kind._rows
    monkeypatch.setattr(kind, "_rows", lambda store, sql, given: asked.append(len(given)) or rows(store, sql, given))

    def parameters(size: int) -> int:
        run = crowd(actor, size)
        asked.clear()
        keep(run, size)
        with driving():
            finish(run)
        assert state_of(run)["got"] == list(range(size))
        return sum(asked)

    few, many = parameters(20), parameters(160)
    assert many < 9 * few


def test_other_runs_go_on_while_a_run_takes_many_signals(actor):
    run = crowd(actor, 300)
    keep(run, 300)
    with driving():
        wait_until(lambda: Signal.objects.exclude(consumed_at=None).exists(), "it takes signals")
        finish(start(actor, {"a": {"tool": "increment"}}))
        assert Signal.objects.filter(consumed_at=None).exists(), "the other run came in between"
        finish(run)


def test_more_signals_than_are_looked_up_at_once_are_taken_in_order(actor, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_KEPT", 4)
    run = crowd(actor, 10)
    keep(run, 12)
    with driving():
        finish(run)
    assert state_of(run)["got"] == list(range(10))
    assert list(Signal.objects.filter(consumed_at=None).values_list("payload", flat=True)) == ["10", "11"]


def test_a_wait_whose_time_is_over_still_gets_the_signals_that_came_before(actor, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_KEPT", 4)
    nodes = {**CROWD, "w": {**CROWD["w"], "wait": {"signal": "go", "timeout_s": 3600}}}
    with driving():
        run = start(actor, nodes, {"items": list(range(10))})
        wait_until(lambda: is_waiting(run), "it has left memory")
    for entry in Event.objects.filter(run=run, type="StepWaiting"):
        data = entry.data.replace(entry.data.split('"timeout_at":"')[1][:19], "2026-01-01T00:00:00")
        Event.objects.filter(pk=entry.pk).update(data=data)
    keep(run, 10)
    with driving():
        assert finish(run).status == "completed"
    assert sorted(state_of(run)["got"]) == list(range(10))


def test_more_names_than_one_statement_can_ask_for_are_found_in_order(actor, store):
    run = start(actor, PAID)
    names = [f"name {number:04}" for number in range(2 * MAX_MARKS + 1)]
    for name in (names[-1], names[0], names[MAX_MARKS]):
        signal_run(run=run, name=name, payload=name, actor=actor)
    kept = store.kept_signals(run.pk, run.epoch, names, limit=2)
    assert [signal.name for signal in kept] == [names[-1], names[0]]
