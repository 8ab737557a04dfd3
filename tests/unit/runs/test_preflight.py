import argparse
import socket

import pytest
from django.core.management.base import CommandError

from runs.management import preflight
from runs.management.commands.serve import listen, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_loopback_address_is_this_machine_only(host):
    assert preflight.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no-such-name.invalid"])
def test_no_other_address_is_taken_for_loopback(host):
    assert not preflight.is_loopback(host)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_workers_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="give a whole number from 1"):
        preflight.at_least_one(text)
    assert preflight.at_least_one("3") == 3


@pytest.mark.parametrize("text", ["99999", "65536", "-1", "http", "8000.0", "", "9" * 5000])
def test_a_port_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="give a port from 0 to 65535"):
        preflight.port_number(text)
    assert (preflight.port_number("0"), preflight.port_number("65535")) == (0, 65535)


def test_a_platform_without_proc_is_refused(monkeypatch):
    preflight.check_platform()
    monkeypatch.setattr("runs.driver.identity._boot_id", lambda: "")
    with pytest.raises(CommandError, match="Use Linux"):
        preflight.check_platform()


def test_port_0_takes_a_free_one_and_the_url_names_it():
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_an_ipv6_address_stands_in_brackets():
    with listen("::1", 0) as listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_a_port_that_is_taken_is_refused_with_a_sentence():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CommandError, match=f"Cannot listen on 127.0.0.1 port {port}: Address already in use"):
            listen("127.0.0.1", port)
