"""One signed request to somebody else's server, which is trusted with nothing.

The name is resolved first and the connection goes to the address that was looked at, so that a name cannot mean
another address a moment later. No redirect is followed, little of the answer is read, and the whole takes a bounded
time, whatever the server does.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from runs.errors import WebhookUrlRefused

MAX_URL_CHARACTERS = 2_000
MAX_ANSWER_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CLOSED = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "::/96", "fec0::/10")))
"""Ranges that `is_global` lets pass: NAT64 of a site's own (RFC 8215), and what once were wrapped addresses of IPv4 and
addresses of a site (RFC 4291, deprecated there)."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class DeliveryFailed(Exception):
    """The request had no success; it says why in a sentence. Another time it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """How requests are made."""

    timeout_s: float
    allow_private: bool

    def check(self, url: str) -> SplitResult:
        """The URL in parts, as far as it can be judged without asking anybody. Raises WebhookUrlRefused."""
        parts = _parsed(url)
        if not self.allow_private and _is_private_name(parts.hostname or ""):
            raise WebhookUrlRefused("The URL names an address of this machine or of a private network.")
        return parts

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises WebhookUrlRefused, and DeliveryFailed unless the answer is a 2xx."""
        parts = self.check(url)
        try:
            status = self._status(parts, self._addresses(parts), body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"The request failed: {error or type(error).__name__}.") from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"The server answered with {status}.")

    def _addresses(self, parts: SplitResult) -> list[str]:
        port = parts.port or _PORTS[parts.scheme]
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not self.allow_private and not all(map(is_public, addresses)):
            raise WebhookUrlRefused(f"{parts.hostname} is an address of this machine or of a private network.")
        return addresses

    def _status(self, parts: SplitResult, addresses: list[str], body: bytes, headers: Mapping[str, str]) -> int:
        connection = _Connection(parts, addresses, timeout_s=self.timeout_s)
        # A socket's own timeout starts anew with each byte; a server may send one every few seconds for ever.
        alarm = threading.Timer(self.timeout_s, connection.abort)
        alarm.daemon = True
        alarm.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body=body, headers=dict(headers))
            answer = connection.getresponse()
            if connection.is_aborted:  # which ends the headers, as far as http.client can see
                raise TimeoutError
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer.read(MAX_ANSWER_BYTES)  # for the server's sake, which may complain if nobody listens
            return answer.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            if connection.is_aborted:
                raise DeliveryFailed(f"The server did not answer within {self.timeout_s:g} s.") from error
            raise
        finally:
            alarm.cancel()
            connection.close()


class _Connection(http.client.HTTPConnection):
    """Connects to one of the given addresses, under the name of the URL."""

    def __init__(self, parts: SplitResult, addresses: list[str], *, timeout_s: float) -> None:
        super().__init__(parts.hostname or "", parts.port or _PORTS[parts.scheme], timeout=timeout_s)
        self.default_port = _PORTS[parts.scheme]  # which the Host header leaves out
        self._addresses = addresses
        self._is_encrypted = parts.scheme == "https"
        self.is_aborted = False

    def connect(self) -> None:
        self.sock = self._connected()
        if self.is_aborted:
            raise TimeoutError
        if self._is_encrypted:
            context = ssl.create_default_context()
            # The handshake comes later, so that `abort` finds the socket that is waiting in it.
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def abort(self) -> None:
        """From another thread: whatever it is waiting for, it ends now."""
        self.is_aborted = True
        with contextlib.suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> socket.socket:
        errors: list[OSError] = []
        for address in self._addresses:
            try:
                return socket.create_connection((address, self.port), timeout=self.timeout)
            except OSError as error:
                errors.append(error)
            if self.is_aborted:
                break
        raise errors[-1] if errors else OSError("the name has no address")


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet at large, also where it wraps an address of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    is_closed = any(ip in network for network in _CLOSED)
    return not is_closed and all(each.is_global and not each.is_multicast for each in (ip, *_wrapped(ip)))


def _wrapped(ip: IPAddress) -> list[IPAddress]:
    if not isinstance(ip, ipaddress.IPv6Address):
        return []
    found: list[IPAddress] = [each for each in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if each is not None]
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return found


def _parsed(url: str) -> SplitResult:
    if len(url) > MAX_URL_CHARACTERS:
        raise WebhookUrlRefused(f"The URL has more than {MAX_URL_CHARACTERS} characters.")
    if not url.isascii() or any(not "!" <= letter <= "~" for letter in url):
        raise WebhookUrlRefused("The URL has spaces, control characters or letters outside of ASCII; encode them.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookUrlRefused(f"The URL cannot be read: {error}.") from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise WebhookUrlRefused("Give a URL that starts with https:// or http:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise WebhookUrlRefused("The URL has a user name or a password; the signature says who is calling.")
    if "#" in url:
        raise WebhookUrlRefused("The URL has a fragment, which no server would see; leave it out.")
    return parts


def _is_private_name(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:  # a name, which is looked up at the delivery
        return False
