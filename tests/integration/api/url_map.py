"""Every operation of the REST API, read from the URL map itself, so that a new one is tested unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

from accounts.api.base import ActorViewSet
from accounts.models import Role

_PART = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route. `route` has the parts to fill as `{name}`."""

    method: str
    route: str
    names: tuple[str, ...]
    view: type[ActorViewSet]
    action: str

    @property
    def role(self) -> Role:
        return self.view.roles[self.action]

    @property
    def writes(self) -> bool:
        return self.method != "get"

    def path(self, arguments: Mapping[str, object]) -> str:
        return self.route.format(**arguments)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.route}"


def operations() -> list[Operation]:
    return [operation for pattern, route in _patterns(get_resolver(), "/") for operation in _operations(pattern, route)]


def routes() -> list[str]:
    """Every route of the site, its parts to fill as `{name}`."""
    return sorted({_PART.sub(r"{\1}", route) for pattern, route in _patterns(get_resolver(), "/")})


def _patterns(resolver: URLResolver, prefix: str) -> Iterator[tuple[URLPattern, str]]:
    for entry in resolver.url_patterns:
        route = prefix + getattr(entry.pattern, "_route", "")
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, route)
        else:
            yield entry, route


def _operations(pattern: URLPattern, route: str) -> Iterator[Operation]:
    view = getattr(pattern.callback, "cls", None)
    if view is None or not issubclass(view, ActorViewSet):
        return
    names = tuple(_PART.findall(route))
    for method, action in pattern.callback.actions.items():
        if method != "head":
            yield Operation(method=method, route=_PART.sub(r"{\1}", route), names=names, view=view, action=action)
