"""What the head of a run that failed says."""

from datetime import UTC, datetime

import pytest

from runs.driver.heads import final_head
from runs.engine.events import Failure, RunFailed
from runs.engine.ids import first

AT = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "number", "sentence"),
    [
        ("no ruler", 1, "measure: ValueError: no ruler"),
        ("no ruler", 3, "measure: ValueError: no ruler. And 2 more."),
        ("There is no ruler.", 2, "measure: ValueError: There is no ruler. And 1 more."),
        ("", 2, "measure: ValueError. And 1 more."),
    ],
)
def test_the_first_error_and_how_many_more_there_are(message: str, number: int, sentence: str):
    error = (first(), "measure", Failure(type="ValueError", message=message))
    head = final_head("failed", [RunFailed(errors=(error,) * number)], at=AT)
    assert head.error == sentence
