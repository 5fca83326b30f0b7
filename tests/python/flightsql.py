"""Flight SQL spoken by hand over gRPC: every message as bytes, every header and trailer as text.

Answers for calls that stock clients do not offer (PollFlightInfo, damaged commands) and for seeing
all that a server says: buffers before a library has read them, trailers, status texts. Knows protocol
buffers only as far as these messages need them.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import grpc
import pyarrow as pa

SERVICE = "/arrow.flight.protocol.FlightService/"
TYPES = "type.googleapis.com/arrow.flight.protocol.sql."
PATH, COMMAND = 1, 2
SECONDS_MAX = 300.0

# ------------------------------------------------------------------------------- protocol buffers

Scalar = int | bytes | str | bool | float


def varint(number: int) -> bytes:
    """A number in seven-bit groups, negative ones as 64 bits."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields: tuple[int, Scalar | None]) -> bytes:
    """A message; fields without a value are left out."""
    out = b""
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bool | int):
            out += varint(number << 3) + varint(int(value))
        elif isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def parsed(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message, in their order."""
    found: list[tuple[int, int | bytes]] = []
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        tag = number()
        kind = tag & 7
        if kind == 0:
            found.append((tag >> 3, number()))
            continue
        size = {1: 8, 5: 4}.get(kind) or number()
        found.append((tag >> 3, data[place : place + size]))
        place += size
    return found


def every(data: bytes, wanted: int) -> list[bytes]:
    """All values of a repeated field."""
    return [value for number, value in parsed(data) if number == wanted]


def one(data: bytes, wanted: int, default: Scalar = b"") -> bytes:
    """The last value of a field."""
    found = every(data, wanted)
    return found[-1] if found else default


def packed(name: str, *fields: tuple[int, Scalar | None]) -> bytes:
    """A command of Flight SQL in its envelope."""
    return message((1, TYPES + name), (2, message(*fields)))


def statement(sql: str) -> bytes:
    """A query as a command."""
    return packed("CommandStatementQuery", (1, sql))


def descriptor(command: bytes) -> bytes:
    """The descriptor of a command."""
    return message((1, COMMAND), (2, command))


def by_path(*path: str) -> bytes:
    """The descriptor of a path."""
    return message((1, PATH), *((3, part) for part in path))


# ------------------------------------------------------------------------------------------ calls

TOLD = re.compile(
    r"(?P<sentence>[A-Z].*?\.)(?: Hint: (?P<hint>.*?)\.?)? "
    r"\[(?P<code>[A-Z]\d{3}), request (?P<id>[0-9a-f]{16})\]",
    re.DOTALL,
)


class Refused(Exception):
    """An error as it came: status, text and trailers."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.status: str = error.code().name
        self.text: str = error.details() or ""
        trailers = error.trailing_metadata() or ()
        self.trailers = {key: value for key, value in trailers}
        found = TOLD.fullmatch(self.text)
        self.code = found["code"] if found else ""
        self.sentence = found["sentence"] if found else ""
        self.hint = (found["hint"] or "") if found else ""
        super().__init__(f"{self.status}: {self.text}")

    @property
    def alike(self) -> tuple[str, str]:
        """What must be the same for other data: all but the number of the request."""
        return self.status, re.sub(r"request [0-9a-f]{16}", "request", self.text)


@dataclass
class Answer:
    """What a stream gave: the messages as they came, each with header and body."""

    messages: list[tuple[bytes, bytes]]
    metadata: str

    @property
    def table(self) -> pa.Table:
        """The messages read as Arrow IPC."""
        return read(self.messages)

    @property
    def schema(self) -> pa.Schema:
        """The schema as it came first."""
        return pa.ipc.read_schema(pa.py_buffer(framed(*self.messages[0])))


def framed(header: bytes, body: bytes) -> bytes:
    """One message as an Arrow IPC stream has it."""
    padding = -len(header) % 8
    size = struct.pack("<II", 0xFFFFFFFF, len(header) + padding)
    return size + header + bytes(padding) + body


def read(messages: Iterable[tuple[bytes, bytes]]) -> pa.Table:
    """The table that messages make."""
    stream = b"".join(framed(*each) for each in messages) + struct.pack("<II", 0xFFFFFFFF, 0)
    with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
        return reader.read_all()


def schema_of(data: bytes) -> pa.Schema:
    """The schema that an info or a schema result holds."""
    return pa.ipc.read_schema(pa.py_buffer(data))


@dataclass
class Info:
    """A flight's info."""

    raw: bytes

    @property
    def schema_bytes(self) -> bytes:
        """The schema as it came."""
        return one(self.raw, 1)

    @property
    def schema(self) -> pa.Schema:
        """The schema."""
        return schema_of(self.schema_bytes)

    @property
    def endpoints(self) -> list[bytes]:
        """The endpoints as they came."""
        return every(self.raw, 3)

    @property
    def tickets(self) -> list[bytes]:
        """The tickets, in the order of the endpoints."""
        return [one(one(endpoint, 1), 1) for endpoint in self.endpoints]

    @property
    def totals(self) -> tuple[int, int]:
        """Records and bytes; -1 where they are not told."""
        signed = [one(self.raw, number, 0) for number in (4, 5)]
        return tuple(n - (1 << 64) if n >= 1 << 63 else n for n in signed)

    @property
    def ordered(self) -> bool:
        """Whether the order of rows means something."""
        return bool(one(self.raw, 6, 0))


@dataclass
class Caller:
    """A partner who speaks Flight SQL by hand, and keeps all that they are told."""

    address: str
    token: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        host = self.address.rpartition("://")[2]
        self.channel = grpc.insecure_channel(host, options)

    def close(self) -> None:
        """Hang up."""
        self.channel.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}"), *self.headers]

    def _hear(self, call: grpc.Call) -> str:
        told = f"{call.initial_metadata()} {call.trailing_metadata()}"
        self.heard.append(told)
        return told

    def unary(self, method: str, request: bytes) -> bytes:
        """Call a method that answers once."""
        called = self.channel.unary_unary(SERVICE + method)
        try:
            answer, call = called.with_call(request, timeout=SECONDS_MAX, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._refused(error) from None
        self._hear(call)
        return answer

    def _refused(self, error: grpc.RpcError) -> Refused:
        refused = Refused(error)
        initial = error.initial_metadata() if hasattr(error, "initial_metadata") else ""
        self.heard.append(f"{initial} {refused.trailers} {refused.text}")
        return refused

    def streamed(self, method: str, request: bytes) -> tuple[list[bytes], str]:
        """Call a method that answers many times."""
        call = self.channel.unary_stream(SERVICE + method)(
            request, timeout=SECONDS_MAX, metadata=self._metadata
        )
        try:
            return list(call), self._hear(call)
        except grpc.RpcError as error:
            raise self._refused(error) from None

    # The methods ------------------------------------------------------------------------------

    def info(self, command: bytes) -> Info:
        """GetFlightInfo for a command."""
        return Info(self.unary("GetFlightInfo", descriptor(command)))

    def info_of_path(self, *path: str) -> Info:
        """GetFlightInfo for a path."""
        return Info(self.unary("GetFlightInfo", by_path(*path)))

    def poll(self, command: bytes) -> Info:
        """PollFlightInfo until it is complete."""
        request = descriptor(command)
        for _ in range(200):
            answer = self.unary("PollFlightInfo", request)
            request = one(answer, 2)
            if not request:
                return Info(one(answer, 1))
        raise AssertionError("polled in vain")

    def schema(self, command: bytes) -> bytes:
        """GetSchema for a command, as bytes."""
        return one(self.unary("GetSchema", descriptor(command)), 1)

    def ticket(self, ticket: bytes) -> Answer:
        """DoGet."""
        chunks, told = self.streamed("DoGet", message((1, ticket)))
        return Answer([(one(chunk, 2), one(chunk, 1000)) for chunk in chunks], told)

    def pull(self, info: Info) -> list[Answer]:
        """DoGet of every endpoint, one after the other."""
        return [self.ticket(ticket) for ticket in info.tickets]

    def action(self, name: str, body: bytes = b"") -> list[bytes]:
        """DoAction; the bodies of its results."""
        results, _ = self.streamed("DoAction", message((1, name), (2, body)))
        return [one(result, 1) for result in results]

    def put(self, command: bytes, table: pa.Table) -> list[bytes]:
        """DoPut of a table under a command; the results' metadata."""
        return self._put("DoPut", command, table)

    def exchange(self, command: bytes, table: pa.Table) -> list[bytes]:
        """DoExchange of a table under a command."""
        return self._put("DoExchange", command, table)

    def _put(self, method: str, command: bytes, table: pa.Table) -> list[bytes]:
        call = self.channel.stream_stream(SERVICE + method)(
            flight_data(command, table), timeout=SECONDS_MAX, metadata=self._metadata
        )
        try:
            answers = list(call)
            self._hear(call)
        except grpc.RpcError as error:
            raise self._refused(error) from None
        return [one(answer, 1) for answer in answers]

    # Prepared statements ----------------------------------------------------------------------

    def prepare(self, sql: str) -> "Prepared":
        """CreatePreparedStatement."""
        request = packed("ActionCreatePreparedStatementRequest", (1, sql))
        (answer,) = self.action("CreatePreparedStatement", request)
        return Prepared(self, one(answer, 2))


@dataclass
class Prepared:
    """A prepared statement: its handle, and the schemas that came with it."""

    caller: Caller
    raw: bytes

    def __post_init__(self) -> None:
        self.handle = one(self.raw, 1)

    @property
    def schema(self) -> pa.Schema:
        """The schema of its answer."""
        return schema_of(one(self.raw, 2))

    @property
    def parameters(self) -> pa.Schema | None:
        """The schema of its parameters."""
        data = one(self.raw, 3)
        return schema_of(data) if data else None

    @property
    def command(self) -> bytes:
        """The command that runs it."""
        return packed("CommandPreparedStatementQuery", (1, self.handle))

    def bind(self, row: pa.Table) -> None:
        """Bind parameters; the handle that comes back takes the place of the old one."""
        answers = self.caller.put(self.command, row)
        handles = [one(answer, 1) for answer in answers if answer]
        if handles and handles[-1]:
            self.handle = handles[-1]

    def close(self) -> None:
        """ClosePreparedStatement."""
        request = packed("ActionClosePreparedStatementRequest", (1, self.handle))
        self.caller.action("ClosePreparedStatement", request)


def flight_data(command: bytes, table: pa.Table) -> Iterator[bytes]:
    """A table as the messages that a client puts, the command with the first."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    reader = pa.ipc.MessageReader.open_stream(sink.getvalue())
    described = descriptor(command)
    for each in reader:
        body = each.body.to_pybytes() if each.body is not None else b""
        yield message((1, described), (2, each.metadata.to_pybytes()), (1000, body))
        described = None
