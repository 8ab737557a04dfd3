"""`.env.example` lists every variable, with the default that the code has."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from workflowsite.environment import Environment, Limits

VARIABLE = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)


@pytest.fixture
def example() -> dict[str, str]:
    return dict(VARIABLE.findall((Path(settings.BASE_DIR) / ".env.example").read_text()))


def names(kind: type[Environment] | type[Limits]) -> set[str]:
    return {f"{kind.model_config.get('env_prefix', '')}{field}".upper() for field in kind.model_fields}


def test_it_lists_every_variable_and_no_other(example):
    assert set(example) == names(Environment) | names(Limits)


@pytest.mark.parametrize("kind", [Environment, Limits])
def test_uncommenting_all_of_it_changes_nothing(kind, example, monkeypatch):
    for name in example:
        monkeypatch.delenv(name, raising=False)
    defaults = kind(_env_file=None)
    for name, value in example.items():
        monkeypatch.setenv(name, value)
    assert kind(_env_file=None) == defaults
