"""Configuration from environment variables, typed and checked when the process starts.

Every variable the project reads is a field here: the name in capitals is the variable's name. What a field
refuses ends the start with one sentence for each variable (`read_environment`), never with a traceback.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

import dj_database_url
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Commas = Annotated[tuple[str, ...], NoDecode]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Variables = TypeVar("Variables", bound=BaseSettings)


_REASONS = {
    "bool_parsing": "give 1 or 0",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_parsing": "give a number",
    "finite_number": "give a finite number",
    "greater_than": "give more than {gt:.12g}",
    "greater_than_equal": "give at least {ge:.12g}",
    "less_than_equal": "give at most {le:.12g}",
    "literal_error": "give {expected}",
}
"""By the type of pydantic's complaint. Our own complaints are sentences already."""


def _split(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class _Variables(BaseSettings):
    """What Django's settings hold whole."""

    # They ask their values for this at each look-up, and pydantic takes 5 µs to say that it has no such thing.
    _mask_wrapped: ClassVar[bool] = True


class Limits(_Variables):
    """Bounds of the engine, each a variable `WORKFLOW_…`. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_", env_ignore_empty=True, extra="ignore", frozen=True)

    tool_modules: Commas = ()

    # What comes in and what is stored.
    max_request_bytes: Positive = 10 * MIB
    max_definition_bytes: Positive = 8 * MIB
    max_json_depth: Annotated[int, Field(ge=1, le=200)] = 64
    max_state_bytes: Positive = 16 * MIB
    max_update_bytes: Positive = 4 * MIB
    max_cached_bytes: Positive = 1 * MIB
    max_log_line_bytes: Positive = 64 * KIB
    max_log_step_bytes: Positive = 1 * MIB
    max_stream_step_bytes: Positive = 1 * MIB
    max_heartbeat_bytes: Positive = 64 * KIB
    max_step_parts: Positive = 1_000
    """How many results of `ctx.step` and answers to `ctx.interrupt` are kept for one step."""
    max_nodes: Positive = 5_000
    max_map_items: Positive = 10_000
    max_kept_signals: Positive = 10_000
    """For one run, and for one business key."""
    max_breakpoints: Positive = 100

    # How the drivers work.
    workers: Positive = 2
    runs_per_worker: Positive = 50
    max_runs_per_organization: NotNegative = 0
    """Under way at once; the others queue up. 0: as many as there are."""
    sync_tool_threads: Positive = 128
    default_timeout_s: Seconds = 300
    atomic_lock_s: Annotated[float, Field(gt=0, le=10)] = 2
    """How long an atomic tool may keep everybody else from writing to SQLite."""
    lock_timeout_s: Annotated[float, Field(ge=0.001, le=10)] = 0.1
    """How long a driver waits on PostgreSQL for a row that another transaction holds, before it does other things."""
    stop_grace_s: Seconds = 10
    beat_interval_s: Seconds = 3
    lease_s: Seconds = 15
    poll_interval_s: Seconds = 1
    keep_waiting_s: Seconds = 5
    """A run that has to wait longer leaves memory."""
    max_step_crashes: Positive = 5
    quarantine_alone_s: Seconds = 2
    """How long a step is alone in quarantine before the next one is called beside it."""
    max_abandoned_threads: Positive = 16
    # Of the tools that run in processes of their own.
    tool_processes: NotNegative = 0
    process_memory_bytes: Annotated[int, Field(ge=256 * MIB)] = 2 * GIB
    process_cpu_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    process_start_s: Seconds = 60
    process_idle_s: Seconds = 60
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    # For web processes alone: the threads of a pool do not survive the fork that makes a worker.
    postgres_pool_size: NotNegative = 0
    runtime_dir: Path | None = None

    # What becomes of runs that are over.
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    webhook_timeout_s: Annotated[float, Field(gt=0, le=30)] = 10
    webhook_tries: Annotated[int, Field(ge=1, le=50)] = 8
    webhook_first_retry_s: Seconds = 1
    webhook_longest_retry_s: Seconds = 3_600
    webhooks_allow_private: bool = False

    # How the live stream works.
    stream_window_bytes: Positive = 512 * KIB
    stream_stall_s: Seconds = 10
    max_sockets: Positive = 2_000
    max_waiting_requests: Positive = 200

    _split_commas = field_validator("tool_modules", mode="before")(_split)

    @field_validator("tool_modules")
    @classmethod
    def _are_import_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for module in value:
            if not all(part.isidentifier() for part in module.split(".")):
                raise ValueError(f"{module!r} is not the import path of a module, such as shop.flows.tools")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.lease_s < 3 * self.beat_interval_s:
            raise ValueError(
                "WORKFLOW_LEASE_S must be at least three times WORKFLOW_BEAT_INTERVAL_S, "
                "or a driver that misses a beat loses its runs"
            )
        if self.webhook_longest_retry_s < self.webhook_first_retry_s:
            raise ValueError("WORKFLOW_WEBHOOK_LONGEST_RETRY_S must not be less than WORKFLOW_WEBHOOK_FIRST_RETRY_S")
        for inner, outer in (("update", "state"), ("definition", "request"), ("log_line", "log_step")):
            if getattr(self, f"max_{inner}_bytes") > getattr(self, f"max_{outer}_bytes"):
                raise ValueError(
                    f"WORKFLOW_MAX_{inner.upper()}_BYTES must not be more than WORKFLOW_MAX_{outer.upper()}_BYTES"
                )
        return self


class Environment(_Variables):
    """The variables that are not limits."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    debug: bool = False
    secret_key: SecretStr | None = None
    allowed_hosts: Commas = ("localhost", "127.0.0.1", "[::1]")
    database_url: str | None = None
    redis_url: str | None = None
    https: bool = False
    """A proxy in front speaks TLS and sets X-Forwarded-Proto: cookies are for TLS alone, browsers are told to stay."""

    _split_commas = field_validator("allowed_hosts", mode="before")(_split)

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("give at least 32 random characters")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if "/" in host or (":" in host and not host.startswith("[")):
                raise ValueError(f"{host!r} is not a host name; leave out the scheme, the port and the path")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_sqlite_file_or_postgres(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            database = dj_database_url.parse(value)
        except (ValueError, KeyError):
            database = {}
        match database.get("ENGINE"):
            case "django.db.backends.postgresql":
                return value
            case "django.db.backends.sqlite3" if database["NAME"] != ":memory:":
                if not Path(database["NAME"]).parent.is_dir():
                    raise ValueError(f"the directory of {database['NAME']} does not exist")
                return value
        raise ValueError("give the URL of a SQLite file (sqlite:///path) or of PostgreSQL (postgres://…)")

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("give a URL such as redis://localhost:6379/0")
        return value


def read_environment() -> tuple[Environment, Limits]:
    """Read and check all variables; on nonsense print a sentence for each complaint and exit."""
    complaints = _unknown_variables()
    environment = _read(Environment, complaints)
    limits = _read(Limits, complaints)
    if environment is None or limits is None or complaints:
        sys.exit("\n".join(complaints))
    return environment, limits


def _read(kind: type[Variables], complaints: list[str]) -> Variables | None:
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            reason = _reason(problem)
            name = "".join(str(part) for part in problem["loc"][:1])
            variable = f"{kind.model_config.get('env_prefix', '')}{name}".upper()
            complaints.append(f"The environment variable {variable} is not usable: {reason}." if name else f"{reason}.")
        return None


def _reason(problem: ErrorDetails) -> str:
    """What to give, in our words; pydantic speaks of inputs and of parsing."""
    words = _REASONS.get(problem["type"])
    if words is None:
        return problem["msg"].removeprefix("Value error, ")
    return f"{words.format_map(problem.get('ctx', {}))}, not {problem['input']}"


def _unknown_variables() -> list[str]:
    """A misspelt limit would otherwise leave its default in force, unnoticed."""
    known = [f"WORKFLOW_{name}".upper() for name in Limits.model_fields]
    complaints = []
    for name in sorted(os.environ):
        if name.startswith("WORKFLOW_") and name not in known:
            matches = get_close_matches(name, known, n=1)
            hint = f" Did you mean {matches[0]}?" if matches else ""
            complaints.append(f"The environment variable {name} is not known.{hint}")
    return complaints
