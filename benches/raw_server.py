"""The peer: pyarrow's C++ Flight server, which sends a parquet file as it is.

Answers for being as fast as that server can be with the file streamed, not held in memory. It has
no credentials and no policy, and TLS only where it is given a certificate.
"""

import sys
from pathlib import Path

import pyarrow.flight as flight
import pyarrow.parquet as pq

BATCH_ROWS = 65_536


class RawServer(flight.FlightServerBase):
    """Serves one file; the descriptor says into how many endpoints it is split."""

    def __init__(self, path: str, tls: Path | None) -> None:
        if tls is None:
            super().__init__("grpc://127.0.0.1:0")
        else:
            pair = ((tls / "server.pem").read_bytes(), (tls / "server.key").read_bytes())
            super().__init__("grpc+tls://localhost:0", tls_certificates=[pair])
        self.scheme = "grpc" if tls is None else "grpc+tls"
        self.path = path

    def get_flight_info(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """One endpoint a part."""
        parts = int(descriptor.path[0])
        endpoints = [flight.FlightEndpoint(f"{part}/{parts}", []) for part in range(parts)]
        schema = pq.read_schema(self.path)
        return flight.FlightInfo(schema, descriptor, endpoints, -1, -1)

    def do_get(
        self, context: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.GeneratorStream:
        """Stream the row groups of a part."""
        part, parts = map(int, ticket.ticket.decode().split("/"))
        file = pq.ParquetFile(self.path)
        groups = file.num_row_groups
        mine = list(range(groups * part // parts, groups * (part + 1) // parts))
        batches = file.iter_batches(BATCH_ROWS, row_groups=mine, use_threads=True)
        return flight.GeneratorStream(file.schema_arrow, batches)


def main() -> None:
    """Serve, and say where once connections are taken."""
    path, ready, *tls = sys.argv[1:]
    server = RawServer(path, Path(tls[0]) if tls else None)
    Path(ready).write_text(f"{server.scheme}://localhost:{server.port}")
    server.serve()


if __name__ == "__main__":
    main()
