"""What tools have computed, where the installation has no Redis."""

from __future__ import annotations

from django.db import models


class CacheEntry(models.Model):
    """An entry of `runs.store.table_cache`, and of nothing else."""

    key = models.CharField(max_length=250, primary_key=True)
    value = models.TextField(help_text="Canonical JSON.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "cache entries"

    def __str__(self) -> str:
        return self.key
