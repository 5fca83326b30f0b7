"""A plain TCP proxy that keeps every byte the server sends.

Answers for what can be seen on the wire when there is no TLS around it.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Recorder:
    """Forwards connections to a server and remembers what comes back."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.sent = bytearray()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """Where clients connect to."""
        return f"grpc+tcp://127.0.0.1:{self.listener.getsockname()[1]}"

    def bytes(self, first: int = 0) -> bytes:
        """Everything the server has sent so far, from a place on."""
        with self.lock:
            return bytes(self.sent[first:])

    def count(self) -> int:
        """How many bytes that is."""
        with self.lock:
            return len(self.sent)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                threading.Thread(
                    target=self._pass, args=(client, server, False), daemon=True
                ).start()
                threading.Thread(
                    target=self._pass, args=(server, client, True), daemon=True
                ).start()

    def _pass(self, source: socket.socket, target: socket.socket, record: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                if record:
                    with self.lock:
                        self.sent += chunk
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def recording(uri: str) -> Iterator[Recorder]:
    """A recorder in front of a server."""
    host, _, port = uri.rpartition("://")[2].rpartition(":")
    recorder = Recorder(host, int(port))
    try:
        yield recorder
    finally:
        recorder.listener.close()
