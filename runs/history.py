"""Who did what to a run before, from its journal."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from runs.log import data_of
from runs.models import Event, Run

PAUSED = Q(type="RunPaused") | Q(type="BreakpointHit", data__contains='"stops":true')
CANCELLED = Q(type="RunCancelled")


class Deed(NamedTuple):
    """What somebody, or the run itself, did to the run, and when."""

    who: str
    what: str
    at: datetime

    @property
    def words(self) -> str:
        return f"{self.who} {self.what} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


def newest_deed(run: Run, kinds: Q) -> Deed | None:
    """The newest entry of these kinds, in words."""
    entry = Event.objects.filter(kinds, run=run).order_by("-seq").first()
    if entry is None:
        return None
    data = data_of(entry.data)
    if entry.type == "BreakpointHit":
        who, what = f"breakpoint {data.get('breakpoint')}", f"stopped it at node {data.get('node')}"
    else:
        who, what = data.get("actor") or "the run", "paused it" if entry.type == "RunPaused" else "cancelled it"
    reason = f', because "{data["reason"]}",' if data.get("reason") else ""
    return Deed(who=who, what=f"{what}{reason}", at=entry.at)


def was_undone(run: Run) -> bool:
    """Whether the run has undone what it did, or is about it."""
    return Event.objects.filter(run=run, type="CompensationStarted").exists()
