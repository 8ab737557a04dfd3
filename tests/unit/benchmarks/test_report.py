from benchmarks.report import growth_row, rows_of, table
from benchmarks.runner import Outcome
from benchmarks.scenario import Figure, Growth, Scenario

LESS = Figure(key="took", title="took", unit="ms", target=10, target_ratio=2)
MORE = Figure(key="rate", title="rate", unit="runs/s", more_is_better=True, target=100)
GROWTH = Growth(title="growth", key="took", large="large", small="small", target=1.2)


def scenario(figure: Figure) -> Scenario:
    return Scenario(name="s", ours=("m", {}), peer=("m", {}), figures=(figure,))


def row(figure: Figure, ours: list[float], peer: list[float]) -> tuple[str, ...]:
    (only,) = rows_of(scenario(figure), Outcome(ours={figure.key: ours}, peer={figure.key: peer}))
    return only.cells()


def test_a_row_shows_the_median_and_the_spread() -> None:
    assert row(LESS, [9, 1, 2], [8, 4, 6])[1:4] == ("2 (1..9) ms", "6 (4..8) ms", "3 times better")


def test_a_target_is_met_at_its_bound_and_not_past_it() -> None:
    assert row(LESS, [10], [20])[5] == "yes"
    assert row(LESS, [10.1], [100])[5] == "NO"
    assert row(MORE, [100], [])[5] == "yes"
    assert row(MORE, [99], [])[5] == "NO"


def test_a_ratio_that_is_missed_misses_the_target() -> None:
    assert row(LESS, [5], [9])[3:] == ("1.8 times better", "≤ 10 ms, ≥ 2 times better", "NO")


def test_where_more_is_better_the_larger_number_wins() -> None:
    assert row(MORE, [50], [200])[3] == "4 times worse"


def test_without_a_peer_only_our_own_bound_counts() -> None:
    assert row(LESS, [5], [])[2:] == ("", "", "≤ 10 ms, ≥ 2 times better", "yes")


def test_a_scenario_that_failed_has_one_row_and_is_not_met() -> None:
    (failed,) = rows_of(scenario(LESS), Outcome(failure="it broke"))
    assert failed.cells() == ("s", "failed", "", "", "", "NO")


def test_a_scenario_that_was_skipped_has_one_row_and_misses_no_target() -> None:
    (skipped,) = rows_of(scenario(LESS), Outcome(skipped="Not here."))
    assert skipped.cells() == ("s", "skipped", "", "", "", "")


def test_growth_divides_the_medians_of_two_scenarios() -> None:
    outcomes = {"large": Outcome(ours={"took": [3, 2, 1]}), "small": Outcome(ours={"took": [2]})}
    grown = growth_row(GROWTH, outcomes)
    assert grown is not None
    assert grown.cells() == ("growth", "1.00 x", "", "", "≤ 1.2 x", "yes")


def test_growth_needs_both_its_scenarios() -> None:
    assert growth_row(GROWTH, {"large": Outcome(ours={"took": [1]})}) is None


def test_growth_needs_figures_of_both_its_scenarios() -> None:
    assert growth_row(GROWTH, {"large": Outcome(skipped="Not here."), "small": Outcome(ours={"took": [1]})}) is None
    assert growth_row(GROWTH, {"large": Outcome(ours={"took": [1]}), "small": Outcome(failure="it broke")}) is None


def test_growth_without_both_peers_is_ours_alone() -> None:
    outcomes = {"large": Outcome(ours={"took": [1]}, peer={"took": [1]}), "small": Outcome(ours={"took": [1]})}
    grown = growth_row(GROWTH, outcomes)
    assert grown is not None
    assert grown.peer == ""


def test_the_table_is_aligned() -> None:
    lines = table(rows_of(scenario(LESS), Outcome(ours={"took": [1]}))).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
