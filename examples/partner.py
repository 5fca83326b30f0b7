"""Pull datasets as a partner does: stock pyarrow Flight, a bearer token, endpoints in parallel.

Answers for the client side of the demo, the tests and the benchmark. Nothing here knows that the
server is Veilflight, except that credentials are optional.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight


@dataclass
class Shard:
    """What came through one endpoint."""

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    first_batch_seconds: float


@dataclass
class Pulled:
    """What came through all endpoints, in their order."""

    table: pa.Table
    seconds: float
    first_batch_seconds: float
    endpoints: int

    @property
    def rows_a_second(self) -> float:
        """The rate of the pull."""
        return self.table.num_rows / self.seconds


@dataclass
class Partner:
    """A partner's connection."""

    uri: str
    token: str | None = None
    roots: bytes | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def connect(self) -> flight.FlightClient:
        """A new connection, which no other client of this process shares."""
        trust = {"tls_root_certs": self.roots} if self.roots else {}
        own = [("grpc.use_local_subchannel_pool", 1)]
        return flight.connect(self.uri, generic_options=own, **trust, **self.more)

    @property
    def options(self) -> flight.FlightCallOptions:
        """The token, as every call carries it."""
        headers = [(b"authorization", b"Bearer " + self.token.encode())] if self.token else []
        return flight.FlightCallOptions(headers=headers, timeout=300.0)

    def info(self, dataset: str) -> flight.FlightInfo:
        """What the server says of a dataset."""
        with self.connect() as client:
            return client.get_flight_info(descriptor(dataset), self.options)

    def pull(self, dataset: str, threads: int = 8) -> Pulled:
        """Pull every endpoint, `threads` at a time."""
        begun = time.perf_counter()
        with self.connect() as client:
            info = client.get_flight_info(descriptor(dataset), self.options)
            with ThreadPoolExecutor(threads) as pool:
                shards = list(pool.map(lambda end: self._shard(end.ticket, begun), info.endpoints))
        batches = [batch for shard in shards for batch in shard.batches]
        table = pa.Table.from_batches(batches, shards[0].schema if shards else info.schema)
        firsts = [shard.first_batch_seconds for shard in shards]
        return Pulled(table, time.perf_counter() - begun, min(firsts, default=0.0), len(shards))

    def _shard(self, ticket: flight.Ticket, begun: float) -> Shard:
        with self.connect() as client:
            return read(client.do_get(ticket, self.options), begun, lambda batch: batch)

    def shard(self, ticket: flight.Ticket) -> pa.Table:
        """Pull one endpoint."""
        shard = self._shard(ticket, time.perf_counter())
        return pa.Table.from_batches(shard.batches, shard.schema)


def read(
    reader: flight.FlightStreamReader, begun: float, keep: Callable[[pa.RecordBatch], Any]
) -> Shard:
    """Read a stream to its end, batch by batch."""
    batches, first = [], 0.0
    schema = reader.schema
    while True:
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return Shard(schema, batches, first)
        if chunk.data is None:
            continue
        first = first or time.perf_counter() - begun
        batches.append(keep(chunk.data))


def descriptor(dataset: str) -> flight.FlightDescriptor:
    """How a dataset is named."""
    return flight.FlightDescriptor.for_path(dataset)
