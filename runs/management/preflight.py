"""What the commands that run servers and workers check before they start anything."""

from __future__ import annotations

import argparse
import ipaddress
import socket

import django.db
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from runs.driver.identity import ProcessIdentity

MAX_PORT = 65_535


def check_platform() -> None:
    """Raise CommandError where processes cannot watch each other."""
    if not ProcessIdentity.current().boot_id:
        raise CommandError("Drivers watch each other through /proc. Use Linux, WSL or a container.")


def check_database() -> None:
    """Raise CommandError when the database cannot be used as it is."""
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except django.db.Error as error:
        raise CommandError(f"The database cannot be used: {error}") from error
    if missing:
        raise CommandError(f"The database lacks {counted(missing, 'migration')}. Run `manage.py migrate` first.")


def check_database_before_forking() -> None:
    """The same. Leaves no connection open, which processes would share."""
    try:
        check_database()
    finally:
        connections.close_all()


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def is_loopback(host: str) -> bool:
    """Whether everything that the host name stands for is this machine only. False for an unknown name."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host or "0.0.0.0", None)}  # noqa: S104
    except OSError:
        return False
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def port_number(text: str) -> int:
    """The argparse type of a port to listen on."""
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"give a port from 0 to {MAX_PORT}, not {text!r}")
    return int(text)


def at_least_one(text: str) -> int:
    """The argparse type of a number of workers."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a whole number from 1, not {text!r}")
    return int(text)
