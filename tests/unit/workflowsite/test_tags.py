"""What templates say with our own tags."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from runs.models import Run
from workflowsite import tags

MANIFEST = {
    "src/pages/run.tsx": {"file": "frontend/run-1.js", "imports": ["_shared.js"], "css": ["frontend/run-1.css"]},
    "_shared.js": {"file": "frontend/shared-1.js", "css": ["frontend/shared-1.css"]},
}


def rendered(source: str, path: str = "/") -> str:
    return Template("{% load site %}" + source).render(Context({"request": RequestFactory().get(path)}))


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    monkeypatch.setattr(tags, "MANIFEST", path)
    return path


def test_an_entry_brings_its_script_and_all_its_styles(manifest: Path) -> None:
    manifest.write_text(json.dumps(MANIFEST))
    assert rendered('{% frontend "src/pages/run.tsx" %}') == (
        '<link rel="stylesheet" href="/static/frontend/run-1.css">'
        '<link rel="stylesheet" href="/static/frontend/shared-1.css">'
        '<script type="module" src="/static/frontend/run-1.js"></script>'
    )


def test_without_a_build_a_page_has_no_script(manifest: Path) -> None:
    assert rendered('{% frontend "src/pages/run.tsx" %}') == ""


def test_a_new_build_is_noticed(manifest: Path) -> None:
    assert rendered('{% frontend "src/pages/run.tsx" %}') == ""
    manifest.write_text(json.dumps(MANIFEST))
    assert "run-1.js" in rendered('{% frontend "src/pages/run.tsx" %}')


@pytest.mark.parametrize(
    ("path", "is_current"), [("/runs/", True), ("/runs/some-run/", True), ("/graphs/", False), ("/", False)]
)
def test_the_section_that_is_shown_is_marked(path: str, is_current: bool) -> None:
    assert ('aria-current="page"' in rendered('{% nav_link "runs:list" "Runs" %}', path)) is is_current


def test_the_first_page_is_marked_only_when_it_is_shown() -> None:
    assert 'aria-current="page"' in rendered('{% nav_link "home" "Overview" %}', "/")
    assert 'aria-current="page"' not in rendered('{% nav_link "home" "Overview" %}', "/runs/")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "250 ms"), (12.34, "12.3 s"), (61, "1 min 1 s"), (3_661, "1 h 1 min"), (90_000, "25 h 0 min")],
)
def test_durations_are_said_in_fitting_units(seconds: float, words: str) -> None:
    started_at = datetime(2026, 1, 1, tzinfo=UTC)
    assert tags.took(Run(started_at=started_at, finished_at=started_at + timedelta(seconds=seconds))) == words


def test_a_run_that_has_not_started_has_taken_no_time() -> None:
    assert tags.took(Run()) == ""
