from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Not a data migration: this holds after `flush` too, and the row stays out of the migrations' history.
        post_migrate.connect(_ensure_local_organization, sender=self)


def _ensure_local_organization(**kwargs: Any) -> None:
    from accounts.services import ensure_local_organization

    ensure_local_organization()
