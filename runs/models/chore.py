"""Work that one process does for all, now and then."""

from __future__ import annotations

from django.db import models


class Chore(models.Model):
    """When a chore is to be done next. Whoever moves `next_at` on does it."""

    name = models.CharField(max_length=32, unique=True)
    next_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.next_at}"
