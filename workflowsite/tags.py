"""Template tags of the pages, loaded with `{% load site %}`."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import now

from accounts.actor import Actor
from accounts.models import Organization
from accounts.selectors import organizations_of
from runs.human_tasks import open_tasks_for
from runs.models import Run

register = template.Library()

MANIFEST = settings.BASE_DIR / "frontend" / "dist" / "manifest.json"


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of templates/parts/icons.svg."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"></use></svg>', name)


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], name: str, text: str, count: int = 0) -> SafeString:
    """A link to a page, marked where it or a page below it is shown; `count` is what waits there."""
    url, path = reverse(name), context["request"].path
    here = path == url or (url != "/" and path.startswith(url))
    current = SafeString(' aria-current="page"') if here else ""
    badge = format_html(' <span class="badge">{}</span>', count) if count else ""
    return format_html('<a href="{}"{}>{}{}</a>', url, current, text, badge)


@register.filter
def open_tasks(actor: Actor) -> int:
    """How many open tasks wait for an answer of the actor."""
    return open_tasks_for(actor).count()


@register.simple_tag
def frontend(entry: str) -> SafeString:
    """The script and style sheets of an entry of the built front end; nothing where it is not built."""
    manifest = _manifest(MANIFEST, _mtime(MANIFEST))
    if entry not in manifest:
        return SafeString()
    chunk = manifest[entry]
    parts = [chunk, *(manifest[name] for name in chunk.get("imports", ()))]
    styles = [(settings.STATIC_URL + path,) for part in parts for path in part.get("css", ())]
    return format_html(
        '{}<script type="module" src="{}"></script>',
        format_html_join("", '<link rel="stylesheet" href="{}">', styles),
        settings.STATIC_URL + chunk["file"],
    )


def _mtime(path: Path) -> float | None:
    return path.stat().st_mtime if path.exists() else None


@lru_cache(maxsize=1)
def _manifest(path: Path, mtime: float | None) -> dict[str, Any]:
    """What Vite wrote about its build, read again when a new build is there."""
    return json.loads(path.read_text()) if mtime is not None else {}


@register.simple_tag
def other_organizations(actor: Actor) -> QuerySet[Organization]:
    """The organizations that the user could act in instead."""
    return organizations_of(actor).exclude(pk=actor.organization.pk).order_by("name")


@register.filter
def short(uuid: object) -> str:
    """Enough of a UUID to tell runs apart by eye."""
    return str(uuid)[:8]


@register.filter
def pretty(value: object) -> str:
    """A JSON value, indented for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def took(run: Run) -> str:
    """How long a run took, or has taken until now."""
    if run.started_at is None:
        return ""
    seconds = ((run.finished_at or now()) - run.started_at).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
