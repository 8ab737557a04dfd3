"""Patterns of triggers: signals from outside."""

from runs.engine.simulate import At
from tests.support.patterns import play, play_shuffled, starts, taking


def test_wcp23_a_trigger_that_comes_too_early_is_lost():
    early = [At(1, "overheating"), At(3, "overheating")]
    result = play_shuffled(23, signals=early, tools=taking(heat=5))
    assert (result.status, result.waits_at, starts(result, "cool")) == ("waiting", ["alarm"], [])


def test_wcp23_a_trigger_that_is_waited_for_starts_the_task_at_once():
    signals = [At(1, "overheating"), At(6, "overheating"), At(7, "overheating")]
    result = play_shuffled(23, signals=signals, tools=taking(heat=5))
    assert (result.status, starts(result, "cool")) == ("completed", [6])


def test_wcp24_a_trigger_that_comes_early_is_kept_until_the_task_can_use_it():
    signals = [At(1, "release", "harbour")]
    result = play_shuffled(24, signals=signals, tools=taking(pack=5), kill_at="everywhere")
    assert (starts(result, "dispatch"), result.state) == ([5], {"released_by": "harbour"})


def test_wcp24_a_trigger_that_comes_late_is_waited_for():
    result = play_shuffled(24, signals=[At(9, "release")], tools=taking(pack=5), kill_at="everywhere")
    assert starts(result, "dispatch") == [9]
    assert play(24).waits_at == ["released"]
