"""What may go wrong with who is acting. Doors turn these into their own refusals; nothing here knows of HTTP."""

from __future__ import annotations

from typing import ClassVar


class AccountsError(Exception):
    """Base of this app's errors. `code` is stable; the message is a sentence that says what to do."""

    code: ClassVar[str] = "accounts-error"
    field: ClassVar[str | None] = None
    """The field of the input that names what is wrong."""

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong, by field."""
        return {self.field: str(self)} if self.field else {}


class CredentialsInvalid(AccountsError):
    """Credentials were given, and they are not good. Never fall back to weaker ones."""

    code = "invalid-credentials"


class NotAMember(AccountsError):
    """The credentials are good, but they reach no organization, or not the one that was asked for."""

    code = "not-a-member"


class RoleTooLow(AccountsError):
    code = "role-too-low"

    def __init__(self, *, held: str, required: str) -> None:
        super().__init__(f"This needs the role {required}; you act as {held}. Ask an admin of the organization.")
        self.held = held
        self.required = required


class UserRequired(AccountsError):
    code = "user-required"


class SlugTaken(AccountsError):
    code = "slug-taken"
    field = "slug"


class UnknownUser(AccountsError):
    code = "unknown-user"
    field = "username"


class AlreadyAMember(AccountsError):
    code = "already-a-member"
    field = "username"


class LastAdmin(AccountsError):
    code = "last-admin"


class SealBroken(AccountsError):
    """Something stored encrypted cannot be read."""

    code = "seal-broken"

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be decrypted: SECRET_KEY is not the one it was stored under. "
            "Put the old key into SECRET_KEY_FALLBACKS, or give the secret again."
        )
