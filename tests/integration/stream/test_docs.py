"""The examples of docs/stream.md are clients that work."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from runs.models import Run
from tests.integration.stream.scribe import Scribe
from tests.integration.stream.server import Server

PAGE = (Path(__file__).parents[3] / "docs" / "stream.md").read_text()


@pytest.fixture
def example() -> dict[str, Any]:
    """What the examples of the page define."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, names)  # noqa: S102 - the page is ours
    return names


def test_the_first_example_prints_what_happens(
    example: dict[str, Any],
    server: Server,
    run: Run,
    scribe: Scribe,
    key: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scribe.write(2)
    scribe.finish()
    url = f"ws://127.0.0.1:{server.port}/ws/graph/run/{run.uuid}?after=0"
    asyncio.run(example["follow"](url, {"Authorization": f"Bearer {key}"}))
    assert capsys.readouterr().out.splitlines() == [
        "1 Completed node: work",
        "2 Completed node: work",
        "3 Completed node: work",
        "The run is completed",
    ]


def test_the_second_example_returns_how_the_run_ended(
    example: dict[str, Any], server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    scribe.write(2)
    scribe.finish("failed")
    events: list[dict[str, Any]] = []
    url = f"ws://127.0.0.1:{server.port}/ws/graph/run/{run.uuid}"
    status = asyncio.run(example["follow_for_good"](url, {"Authorization": f"Bearer {key}"}, events.append))
    assert status == "failed"
    assert [event["seq"] for event in events] == [1, 2, 3]


def test_the_second_example_gives_up_where_coming_back_would_not_help(
    example: dict[str, Any], server: Server, run: Run
) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws/graph/run/{run.uuid}"
    with pytest.raises(example["ConnectionClosed"]):
        asyncio.run(example["follow_for_good"](url, {}, print))
