from collections.abc import Callable

import pytest

from runs.engine.simulate import At


@pytest.fixture
def deliver() -> Callable[..., list[At]]:
    """Signals by name and seconds, each with a payload that tells them apart: `keyboard 1`."""

    def signals(**times_s: list[float]) -> list[At]:
        return [At(at_s, name, f"{name} {at_s:g}") for name, times in times_s.items() for at_s in times]

    return signals
