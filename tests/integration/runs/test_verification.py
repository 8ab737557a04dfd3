"""`verify_runs`: what is derived from a journal is what the journal says, and what is not is found and mended."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from runs.models import Event, Run, Snapshot, Step
from runs.store.deletion import delete_rows, hide
from runs.verification import repair_run, verify_run
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.verifying import assert_as_journaled

pytestmark = pytest.mark.django_db(transaction=True)

COUNT_TO_3 = {"a": {"tool": "increment", "next": {"condition": "n >= 3", "if_true": "end", "if_false": "a"}}}


def run_of(actor, nodes, initial=None, **more) -> Run:
    run = start(actor, nodes, initial, **more)
    with driving():
        return finish(run)


@pytest.fixture
def counted(actor) -> Run:
    return run_of(actor, COUNT_TO_3, {"n": 0})


def verify(*arguments: str) -> tuple[int, str]:
    """The command's exit status and what it says."""
    out = StringIO()
    try:
        call_command("verify_runs", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def assert_mends(run: Run, sentence: str) -> None:
    """The difference is found; mending it changes neither the journal nor the head, and leaves none."""
    journal = list(Event.objects.filter(run=run).values_list())
    head = Run.objects.filter(pk=run.pk).values().get()
    status, said = verify(str(run.uuid))
    assert (status, sentence in said) == (1, True), said
    assert verify("--fix")[0] == 0
    assert verify()[0] == 0
    assert list(Event.objects.filter(run=run).values_list()) == journal
    assert Run.objects.filter(pk=run.pk).values().get() == head


# ------------------------------------------------------------------ what is as it should be

EACH = {"map": "= xs", "as": "x", "to": "w", "join": "j", "collect": {"ys": "= doubled"}}
MAP = {"s": {"next": EACH}, "w": {"tool": "double", "inputs": {"x": "= x"}}, "j": {"join": "all"}}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize(
    ("nodes", "initial"),
    [
        pytest.param(COUNT_TO_3, {"n": 0}, id="a loop"),
        pytest.param(
            {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}, {}, id="a join"
        ),
        pytest.param({"a": {"tool": "misbehave", "inputs": {"how": "raise"}}}, {}, id="a failure"),
        pytest.param(
            {"a": {"tool": "misbehave", "inputs": {"how": "raise"}, "on_error": "b"}, "b": {}}, {}, id="a handler"
        ),
        pytest.param(
            {
                "s": {"next": ["a", "b"]},
                "a": {"tool": "give", "inputs": {"value": 1}, "outputs": {"k": "= result"}, "next": "j"},
                "b": {"tool": "give", "inputs": {"value": 2}, "outputs": {"k": "= result"}, "next": "j"},
                "j": {"join": "all"},
            },
            {},
            id="a conflict",
        ),
        pytest.param({"a": {"tool": "talk"}}, {}, id="log lines"),
        pytest.param(MAP, {"xs": [1, 2, 3]}, id="a map"),
    ],
)
def test_what_a_driver_writes_is_what_the_journal_says(actor, nodes, initial, durability):
    run_of(actor, nodes, initial, durability=durability)
    assert_as_journaled()


def test_a_run_that_nobody_has_driven_yet_is_as_its_journal_says(actor):
    assert_as_journaled(start(actor, COUNT_TO_3, {"n": 0}))


def test_a_run_that_is_over_as_it_starts_is_as_its_journal_says(actor):
    run = start(actor, {"a": {"join": {"count": 2}}}, limits={"max_steps": 1})
    assert run.status == Run.Status.FAILED
    assert_as_journaled(run)


def test_snapshots_of_a_run_that_was_folded_from_one_are_as_its_journal_says(actor):
    entered, opened = gate("half way")
    grow = {"tool": "give", "inputs": {"value": "x" * 100_000}, "outputs": {"log": "= result", "n": "= n + 1"}}
    nodes = {
        "a": {**grow, "next": {"condition": "n >= 12", "if_true": "w", "if_false": "a"}},
        "w": {"tool": "wait_for", "inputs": {"name": "half way"}, "next": "b"},
        "b": {**grow, "next": {"condition": "n >= 24", "if_true": "end", "if_false": "b"}},
    }
    run = start(actor, nodes, {"n": 0, "log": []}, state={"reducers": {"log": "append"}})
    with driving():
        assert entered.wait(30)
    opened.set()
    with driving():
        finish(run)
    assert run.epoch > 1
    assert Snapshot.objects.filter(run=run).exists()
    assert_as_journaled(run)


def test_a_run_under_way_can_be_verified(actor):
    entered, opened = gate("busy")
    run = start(actor, {"a": {"next": "w"}, "w": {"tool": "wait_for", "inputs": {"name": "busy"}}})
    with driving():
        assert entered.wait(30)
        assert_as_journaled(run)
        opened.set()
        finish(run)


# ------------------------------------------------------------------ what is not


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("node", "b"),
        ("path", "m[1]"),
        ("status", "failed"),
        ("attempt", 2),
        ("scheduled_seq", 9),
        ("finished_seq", None),
        ("scheduled_at", timezone.now() - timedelta(days=1)),
        ("started_at", None),
        ("finished_at", timezone.now()),
        ("error", "{}"),
    ],
)
def test_a_wrong_column_of_a_step_is_found_and_mended(counted, column, value):
    Step.objects.filter(run=counted, scheduled_seq=2).update(**{column: value})
    assert_mends(counted, f"of a has the {column} ")


def test_a_missing_step_is_found_and_mended(counted):
    Step.objects.filter(run=counted, scheduled_seq=2).delete()
    assert_mends(counted, "of a has no row")


def test_a_step_that_is_not_in_the_journal_is_found_and_deleted(counted):
    Step.objects.create(run=counted, step=b"0123456789", node="z", scheduled_seq=1, scheduled_at=timezone.now())
    assert_mends(counted, "step 30313233343536373839 of z is not in the journal")


def test_how_often_workers_died_in_a_step_is_kept(counted):
    Step.objects.filter(run=counted).update(crashes=3, node="b")
    assert_mends(counted, "of a has the node 'b' instead of 'a'")
    assert set(Step.objects.filter(run=counted).values_list("node", "crashes")) == {("a", 3)}


@pytest.mark.parametrize("seq", [2, 99])
def test_a_wrong_snapshot_is_found_and_deleted(counted, seq):
    Snapshot.objects.create(run=counted, seq=seq, state='{"format":1}')
    assert_mends(counted, f"the snapshot at event {seq} is not the state folded to there")
    assert not Snapshot.objects.filter(run=counted).exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seq": 4}, "the head is at event 4 instead of 5"),
        ({"status": "failed"}, "the head's status is failed instead of completed"),
        ({"error": "why"}, "the head's error is 'why' instead of ''"),
    ],
)
def test_a_wrong_head_is_found_and_left_as_it_is(counted, changes, sentence):
    Run.objects.filter(pk=counted.pk).update(**changes)
    for arguments in ((), ("--fix",)):
        status, said = verify(*arguments)
        assert (status, sentence in said) == (1, True), said
    assert "cannot be mended" in said
    assert Run.objects.filter(pk=counted.pk, **changes).exists()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda events: events.filter(seq=3).delete(), "After event 2 comes event 4."),
        (lambda events: events.filter(seq=5).delete(), "RunCompleted does not come after the event that led to it."),
        (lambda events: events.filter(seq=5).update(type="RunFailed", data='{"errors":[]}'), "Event 5 is RunFailed"),
        (lambda events: events.filter(seq=5).update(seq=6), "After event 4 comes event 6."),
        (lambda events: events.filter(seq=3).update(data="{"), "Event 3 (StepCompleted) cannot be read"),
        (lambda events: events.all().delete(), "The journal is empty."),
    ],
    ids=["a gap", "no end", "another end", "a gap before the end", "no JSON", "nothing"],
)
def test_a_damaged_journal_is_found_and_never_touched(counted, spoil, sentence):
    spoil(Event.objects.filter(run=counted))
    left = list(Event.objects.filter(run=counted).values_list())
    status, said = verify("--fix")
    assert (status, sentence in said) == (1, True), said
    assert list(Event.objects.filter(run=counted).values_list()) == left


def test_a_run_that_is_being_driven_is_not_mended(actor):
    entered, opened = gate("held")
    run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "held"}}})
    with driving():
        assert entered.wait(30)
        Step.objects.filter(run=run).update(node="b")
        report = verify_run(run)
        assert report.differences
        assert not repair_run(run, report)
        opened.set()
        finish(run)


def test_a_run_that_has_moved_since_is_not_mended(counted):
    Step.objects.filter(run=counted).update(node="b")
    report = verify_run(counted)
    Run.objects.filter(pk=counted.pk).update(epoch=counted.epoch + 1)
    assert not repair_run(counted, report)


def test_of_a_run_that_is_being_deleted_nothing_is_said(counted):
    hide(counted)
    Event.objects.filter(run=counted).delete()
    assert not verify_run(counted).differences
    assert verify() == (0, "0 runs looked at, 0 differ.\n")
    delete_rows(counted)
    assert not verify_run(counted).differences


# ------------------------------------------------------------------ the command


def test_it_looks_at_the_named_runs_or_at_all_since_a_time(counted):
    Step.objects.filter(run=counted).update(node="b")
    Run.objects.filter(pk=counted.pk).update(finished_at=timezone.now() - timedelta(days=2))
    assert verify(str(counted.uuid))[0] == 1
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert verify(f"--since={yesterday}") == (0, "0 runs looked at, 0 differ.\n")
    assert verify("--since=2026-01-01")[0] == 1


def test_it_refuses_what_it_cannot_look_at():
    with pytest.raises(CommandError, match="There is no run"):
        call_command("verify_runs", str(uuid4()))
    with pytest.raises(CommandError, match="is not a time such as"):
        call_command("verify_runs", "--since=yesterday")
