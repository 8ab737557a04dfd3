"""Where webhooks may go, as far as it can be told without asking anybody, and how they are signed."""

import hashlib
import hmac

import pytest

from runs.errors import WebhookUrlRefused
from runs.webhooks.body import signature
from runs.webhooks.sending import MAX_URL_CHARACTERS, Sender, is_public

STRICT = Sender(timeout_s=1, allow_private=False)
LENIENT = Sender(timeout_s=1, allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
        "::7f00:1",
        "::808:808",
        "fec0::1",
        "feff:ffff::1",
    ],
)
def test_an_address_of_this_machine_or_of_a_private_network_is_not(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/a/b?c=d",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]:8443/",
        "HTTPS://EXAMPLE.COM/",
        "https://xn--bcher-kva.example/%C3%A4",
        "https://example.com/".ljust(MAX_URL_CHARACTERS, "x"),
    ],
)
def test_a_url_of_the_internet_is_accepted(url):
    STRICT.check(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "starts with https"),
        ("example.com", "starts with https"),
        ("ftp://example.com/", "starts with https"),
        ("file:///etc/passwd", "starts with https"),
        ("https://", "starts with https"),
        ("https:///path", "starts with https"),
        ("https://example.com:0/", "starts with https"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://user@example.com/", "user name"),
        ("https://user:word@example.com/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/\r\nX-Evil: 1", "control characters"),
        ("https://example.com/a b", "spaces"),
        ("https://bücher.example/", "outside of ASCII"),
        ("https://example.com/".ljust(MAX_URL_CHARACTERS + 1, "x"), "more than"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url, why):
    for sender in (STRICT, LENIENT):
        with pytest.raises(WebhookUrlRefused, match=why):
            sender.check(url)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "[::1]", "10.0.0.1"])
def test_a_url_of_this_machine_or_of_a_private_network_is_for_installations_that_allow_it(host):
    LENIENT.check(f"http://{host}:8000/")
    with pytest.raises(WebhookUrlRefused, match="private network"):
        STRICT.check(f"http://{host}:8000/")


def test_the_signature_is_over_the_time_and_the_body():
    expected = hmac.new(b"key", b'17.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("key", 17, b'{"a":1}') == expected
