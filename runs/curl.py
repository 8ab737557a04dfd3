"""A run as a command that starts the same run again, for people to copy."""

from __future__ import annotations

import json
from shlex import quote

from runs.models import Run
from runs.redaction import REDACTED, redaction_of
from tools import strict_json
from tools.strict_json import Json

MAX_INPUT_CHARACTERS = 32 * 1024
"""A shell takes no more than some such length in one argument, and no page wants it."""


def curl_command(run: Run, *, url: str) -> str | None:
    """The command, for an API key in `$WORKFLOW_API_KEY`; `url` is where runs are started.

    What the graph marks secret is left out, and has to be put in again. None if the initial state is too large.
    """
    if len(run.input) > MAX_INPUT_CHARACTERS:
        return None
    state = json.loads(run.input)
    body = {
        "version": str(run.version.uuid),
        "initial_state": _without_secrets(redaction_of(run).state(state), state),
    }
    options = {"business_key": run.business_key, "labels": run.labels, "priority": run.priority}
    body |= {name: value for name, value in options.items() if value}
    body["durability"] = run.durability
    return " ".join(
        [
            f"curl -X POST {quote(url)}",
            '-H "Authorization: Bearer $WORKFLOW_API_KEY"',
            "-H 'Content-Type: application/json'",
            f"-d {quote(strict_json.dumps(body))}",
        ]
    )


def _without_secrets(shown: Json, value: Json) -> Json:
    """`value` without what is redacted in `shown`."""
    match value:
        case dict():
            return {
                key: _without_secrets(shown[key], item)
                for key, item in value.items()
                if not _is_hidden(shown[key], item)
            }
        case list():
            pairs = zip(shown, value, strict=True)
            return [_without_secrets(one, item) for one, item in pairs if not _is_hidden(one, item)]
    return value


def _is_hidden(shown: Json, value: Json) -> bool:
    return bool(shown == REDACTED and value != REDACTED)
