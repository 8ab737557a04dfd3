"""Keys derived from `SECRET_KEY`, each for one purpose; and text that is stored encrypted.

By HKDF (RFC 5869) with SHA-256, so that none of them tells anything of another or of `SECRET_KEY`. Who changes
`SECRET_KEY` puts the old one into Django's `SECRET_KEY_FALLBACKS`, or loses what was sealed under it.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

from accounts.errors import SealBroken

_SEALING = "sealed text"


def derived_key(purpose: str, *, secret: str | bytes | None = None) -> bytes:
    """32 bytes that only this installation knows, the same for the same purpose."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return hkdf.derive(force_bytes(settings.SECRET_KEY if secret is None else secret))


def seal(text: str) -> str:
    """The text encrypted and authenticated (Fernet), to be stored."""
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed. Raises SealBroken if that was under another key, or somebody has changed it."""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SealBroken from error


def _fernet() -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    keys = (derived_key(_SEALING, secret=secret) for secret in secrets)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
