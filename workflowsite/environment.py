"""Configuration from environment variables, typed and checked when the process starts.

Every variable the project reads is a field here: the name in capitals is the variable's name. What a field
refuses ends the start with one sentence for each variable (`read_environment`), never with a traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB

Commas = Annotated[tuple[str, ...], NoDecode]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _split(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class Limits(BaseSettings):
    """Bounds of the engine, each a variable `WORKFLOW_…`. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_", extra="ignore", frozen=True)

    tool_modules: Commas = ()

    # What comes in and what is stored.
    max_request_bytes: Positive = 10 * MIB
    max_definition_bytes: Positive = 8 * MIB
    max_json_depth: Annotated[int, Field(ge=1, le=200)] = 64
    max_state_bytes: Positive = 16 * MIB
    max_update_bytes: Positive = 4 * MIB
    max_log_line_bytes: Positive = 64 * KIB
    max_log_step_bytes: Positive = 1 * MIB
    max_nodes: Positive = 5_000
    max_map_items: Positive = 10_000

    # How the drivers work.
    workers: Positive = 2
    runs_per_worker: Positive = 50
    sync_tool_threads: Positive = 128
    default_timeout_s: Seconds = 300
    stop_grace_s: Seconds = 10
    beat_interval_s: Seconds = 3
    lease_s: Seconds = 15
    poll_interval_s: Seconds = 1
    max_step_crashes: Positive = 5
    max_abandoned_threads: Positive = 16
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    runtime_dir: Path | None = None

    # How the live stream works.
    stream_window_bytes: Positive = 512 * KIB
    stream_ahead_bytes: Positive = 16 * MIB
    max_sockets: Positive = 2_000

    _split_commas = field_validator("tool_modules", mode="before")(_split)


class Environment(BaseSettings):
    """The variables that are not limits."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    debug: bool = False
    secret_key: SecretStr | None = None
    allowed_hosts: Commas = ("localhost", "127.0.0.1", "[::1]")
    database_url: str | None = None
    redis_url: str | None = None

    _split_commas = field_validator("allowed_hosts", mode="before")(_split)

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("give at least 32 random characters")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("give a URL such as redis://localhost:6379/0")
        return value or None


def read_environment() -> tuple[Environment, Limits]:
    """Read and check all variables; on nonsense print a sentence for each and exit with status 2."""
    complaints: list[str] = []
    values: list[BaseSettings] = []
    for kind in (Environment, Limits):
        try:
            values.append(kind())
        except ValidationError as error:
            prefix = kind.model_config.get("env_prefix", "")
            for problem in error.errors():
                name = f"{prefix}{problem['loc'][0]}".upper()
                reason = problem["msg"].removeprefix("Value error, ")
                complaints.append(f"The environment variable {name} is not usable: {reason}.")
    if complaints:
        sys.exit("\n".join(complaints))
    environment, limits = values
    assert isinstance(environment, Environment)
    assert isinstance(limits, Limits)
    return environment, limits
