"""What a webhook tells, and how the receiver knows who tells it."""

from __future__ import annotations

import base64
import hashlib
import hmac

from accounts.keys import derived_key, unseal
from accounts.models import Organization
from runs.models import Run, Webhook
from tools import strict_json


def organization_key(organization: Organization) -> str:
    """What signs the organization's webhooks that have no secret of their own."""
    key = derived_key(f"webhooks of organization {organization.uuid}")
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def body_of(run: Run) -> bytes:
    """How the run ended, as JSON. Not its state, which may be large and is nobody's who has no key for it."""
    version = run.version
    return strict_json.dumps(
        {
            "run": str(run.uuid),
            "graph": str(version.graph.uuid),
            "graph_name": version.graph.name,
            "version": version.number,
            "status": run.status,
            "finished_at": run.finished_at and run.finished_at.isoformat().replace("+00:00", "Z"),
            "error": run.error,
            "labels": run.labels,
            "business_key": run.business_key,
        }
    ).encode()


def headers_of(webhook: Webhook, body: bytes, *, timestamp: int) -> dict[str, str]:
    """The request's headers. Raises SealBroken if the secret cannot be read."""
    key = unseal(webhook.secret) if webhook.secret else organization_key(webhook.run.organization)
    return {
        "Content-Type": "application/json",
        "User-Agent": "workflow-engine",
        "Workflow-Delivery": str(webhook.uuid),
        "Workflow-Signature": f"t={timestamp},v1={signature(key, timestamp, body)}",
    }


def signature(key: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over the time, a dot and the body, in hexadecimal digits."""
    return hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
