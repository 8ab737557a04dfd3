from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from runs.engine.events import Event

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "events.md").read_text()


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_the_page_of_events_names_each_with_its_fields(kind: type) -> None:
    section = PAGE.partition(f"### {kind.__name__}\n")[2].partition("\n#")[0]
    assert section
    assert [field.name for field in fields(kind) if f"`{field.name}`" not in section] == []
