"""A server that webhooks are sent to."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """Keeps what it receives. It answers with 200, or as the next of `answers` does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/ended?token=t"
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[Answer] = []


def status(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def drip(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then, and never an end, until the other side has had enough."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    try:
        while True:
            request.wfile.write(b"x")
            request.wfile.flush()
            threading.Event().wait(0.05)
    except OSError:
        pass


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def say_too_much(request: BaseHTTPRequestHandler) -> None:
    """A hundred megabytes, of which nobody should read much."""
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(1_600):
            request.wfile.write(b"x" * 65_536)
    except OSError:
        pass


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A server on this machine, with TLS if a context is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers), body))
            (receiver.answers.pop(0) if receiver.answers else status(200))(self)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = receiver.url.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate_for(name: str, folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for `name`, which is also in `folder / "certificate.pem"`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    unencrypted = serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
