"""The admin site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import Model
from unfold.sites import UnfoldAdminSite


class SiteAdmin(UnfoldAdminSite):
    """Unfold's site, without the pages of django-q2: its Schedule rows call whatever function they name."""

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        ours = [model for model in models if model._meta.app_label != "django_q"]
        super().register(ours, admin_class, **options)
