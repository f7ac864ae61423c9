"""A relay to an MLflow server, which truncates responses and can stop responding."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A client repeats fewer requests than this after a truncated response, so the second attempt succeeds.
SPACING = 8


@dataclass
class Relay:
    """Decides which responses are truncated or missing.

    Attributes:
        answered: number of further requests that get a response; later ones do not reach the server.
        broken: kinds of requests that have had a truncated response. Every kind gets one.
    """

    uri: str = ""
    answered: float = float("inf")
    broken: set[str] = field(default_factory=set)
    _since: int = 0

    def breaks_off(self, command: str, path: str) -> bool:
        """Whether to truncate the response to this request."""
        kind = f"{command} {path.partition('?')[0].removeprefix('/api/2.0/').partition('/artifacts/')[0]}"
        self._since += 1
        if self._since < (2 * SPACING if kind in self.broken else SPACING):
            return False
        self._since = 0
        self.broken.add(kind)
        return True


@contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """A relay to the server at this port."""
    relay = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            relay.answered -= 1
            if relay.answered < 0:
                self.close_connection = True
                return
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            if content and relay.breaks_off(self.command, self.path):
                content = content[:-1]
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = relay_request  # noqa: N815 (the names that the base class looks for)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay.uri = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield relay
        finally:
            server.shutdown()
