"""How answers travel: views, large texts, dictionaries, compression; by header and by a session's options."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight
import pytest
import sql_tables
from custodian import Custodian, Server
from driver import Session, ask, connected
from flightsql import Caller, Refused, one, parsed, statement
from support import client_of, furnished

QUERIES = [
    "SELECT * FROM events",
    "SELECT word, tags, place, score FROM events WHERE fine",
    "SELECT word, count(*) AS n, max(note) AS m FROM events GROUP BY word",
    "SELECT upper(word) AS w, NULL AS nothing, ip FROM events ORDER BY id LIMIT 100",
    "SELECT word FROM events WHERE false",
]
HEADERS = {
    "views": {"veilflight-strings": "utf8_view"},
    "large": {"veilflight-strings": "large_utf8"},
    "plain": {"veilflight-strings": "utf8", "veilflight-compression": "none"},
    "dictionaries": {"veilflight-dictionaries": "true"},
    "lz4": {"veilflight-compression": "lz4"},
    "zstd": {"veilflight-compression": "zstd"},
    "all": {
        "veilflight-strings": "utf8_view",
        "veilflight-dictionaries": "true",
        "veilflight-compression": "zstd",
    },
    "large dictionaries in lz4": {
        "veilflight-strings": "large_utf8",
        "veilflight-dictionaries": "true",
        "veilflight-compression": "lz4",
    },
}
OPTIONS = {
    "veilflight-strings": "string_type",
    "veilflight-dictionaries": "dictionary",
    "veilflight-compression": "compression",
}


@pytest.fixture(scope="module")
def custodian(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian with every type."""
    custodian = furnished(tmp_path_factory.mktemp("formats"))
    sql_tables.write(custodian.home)
    return custodian


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """Their server."""
    with custodian.serve(tls=False) as server:
        yield server


def caller(custodian: Custodian, server: Server, headers: dict[str, str]) -> Caller:
    """A partner with headers."""
    return Caller(server.uri, custodian.token("cern"), list(headers.items()))


def pulled(client: Caller, sql: str) -> tuple[pa.Schema, pa.Table, int]:
    """What is announced, what came, and how many bytes of bodies."""
    info = client.info(statement(sql))
    answers = client.pull(info)
    for answer in answers:
        assert info.schema.equals(answer.schema, check_metadata=True)
    size = sum(len(body) for answer in answers for _, body in answer.messages)
    return info.schema, pa.concat_tables([answer.table for answer in answers]), size


def sent_as(kind: pa.DataType, headers: dict[str, str]) -> pa.DataType:
    """The type that a type travels as."""
    text = {"utf8_view": pa.string_view(), "large_utf8": pa.large_string()}.get(
        headers.get("veilflight-strings", ""), pa.string()
    )
    if pa.types.is_list(kind):
        item = kind.value_field
        return pa.list_(item.with_type(inner(item.type, text)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(inner(field.type, text)) for field in kind])
    if pa.types.is_string(kind) and headers.get("veilflight-dictionaries") == "true":
        # Stock clients cannot unpack a dictionary of views.
        return pa.dictionary(pa.int32(), pa.string() if text == pa.string_view() else text)
    return inner(kind, text)


def inner(kind: pa.DataType, text: pa.DataType) -> pa.DataType:
    """The type of a value inside another, which is no dictionary."""
    return text if pa.types.is_string(kind) else kind


def rows(table: pa.Table) -> list[str]:
    """Rows to compare, in no order."""
    return sorted(map(repr, table.to_pylist()))


@pytest.mark.parametrize("sql", QUERIES)
@pytest.mark.parametrize("name", HEADERS)
def test_the_same_values_come_in_the_types_asked_for(
    custodian: Custodian, server: Server, name: str, sql: str
) -> None:
    headers = HEADERS[name]
    with caller(custodian, server, {}) as plain, caller(custodian, server, headers) as asked:
        schema, expected, _ = pulled(plain, sql)
        announced, found, _ = pulled(asked, sql)
    assert announced.types == [sent_as(kind, headers) for kind in schema.types]
    assert announced.names == schema.names
    assert rows(found) == rows(expected)


@pytest.mark.parametrize("name", HEADERS)
def test_plain_pulls_know_the_same_formats(custodian: Custodian, server: Server, name: str) -> None:
    with caller(custodian, server, {}) as plain, caller(custodian, server, HEADERS[name]) as asked:
        expected = [answer.table for answer in plain.pull(plain.info_of_path("events"))]
        info = asked.info_of_path("events")
        found = [answer.table for answer in asked.pull(info)]
    assert all(info.schema.equals(table.schema, check_metadata=True) for table in found)
    assert rows(pa.concat_tables(found)) == rows(pa.concat_tables(expected))


def test_compression_compresses(custodian: Custodian, server: Server) -> None:
    sql, sizes = "SELECT ip, word, person, id FROM events", {}
    for how in ("none", "lz4", "zstd"):
        with caller(custodian, server, {"veilflight-compression": how}) as client:
            _, _, sizes[how] = pulled(client, sql)
    assert sizes["lz4"] < sizes["none"] * 0.8 and sizes["zstd"] < sizes["none"] * 0.8, sizes


def test_dictionaries_are_smaller(custodian: Custodian, server: Server) -> None:
    sql, sizes = "SELECT person, note, band FROM events", []
    for how in ("false", "true"):
        with caller(custodian, server, {"veilflight-dictionaries": how}) as client:
            sizes.append(pulled(client, sql)[2])
    assert sizes[1] < sizes[0] * 0.7, sizes


@pytest.mark.parametrize("name", HEADERS)
def test_a_sessions_options_are_kept_by_the_stock_driver(
    custodian: Custodian, server: Server, name: str
) -> None:
    headers = HEADERS[name]
    sql = QUERIES[1]
    with connected(custodian, server) as connection:
        expected = ask(connection, sql)
        prefix = Session.OPTION_SESSION_OPTION_PREFIX.value
        for header, value in headers.items():
            connection.adbc_connection.set_options(**{prefix + OPTIONS[header]: value})
        found = ask(connection, sql)
        assert found.schema.types == [sent_as(kind, headers) for kind in expected.schema.types]
        assert rows(found) == rows(expected)
    with connected(custodian, server) as connection:
        assert ask(connection, sql).schema == expected.schema, "another session has its own options"


def test_an_old_client_gets_plain_types(custodian: Custodian, server: Server) -> None:
    for sql in QUERIES:
        with caller(custodian, server, {}) as client:
            schema, _, _ = pulled(client, sql)
        for field in schema:
            kinds = [field.type]
            while kinds:
                kind = kinds.pop()
                assert not pa.types.is_dictionary(kind) and not pa.types.is_large_string(kind)
                assert not pa.types.is_string_view(kind) and not pa.types.is_large_list(kind)
                kinds += [kind.field(i).type for i in range(kind.num_fields)]


@pytest.mark.parametrize(
    "headers",
    [
        {"veilflight-strings": "short"},
        {"veilflight-compression": "gzip"},
        {"veilflight-nothing": "1"},
        {"veilflight-time-zone": "Mars/Base"},
    ],
)
def test_a_header_that_means_nothing_is_refused(
    custodian: Custodian, server: Server, headers: dict[str, str]
) -> None:
    with caller(custodian, server, headers) as client:
        with pytest.raises(Refused) as told:
            client.info(statement("SELECT id FROM events"))
    assert told.value.code == "R001"


def test_the_time_zone_is_the_sessions(custodian: Custodian, server: Server) -> None:
    sql = "SELECT CAST(CAST('2024-07-01T12:00:00Z' AS TIMESTAMP WITH TIME ZONE) AS VARCHAR) AS t"
    with caller(custodian, server, {"veilflight-time-zone": "Europe/Zurich"}) as client:
        _, table, _ = pulled(client, sql)
    (text,) = table["t"].to_pylist()
    assert "14:00:00" in text and "12:00:00" not in text, text


def test_locations_are_empty_by_default_and_reuse_on_request(
    custodian: Custodian, server: Server
) -> None:
    for how, expected in (
        (None, []),
        ("none", []),
        ("reuse", [b"arrow-flight-reuse-connection://?"]),
    ):
        headers = {"veilflight-locations": how} if how else {}
        with caller(custodian, server, headers) as client:
            for info in (client.info(statement(QUERIES[0])), client.info_of_path("events")):
                for endpoint in info.endpoints:
                    found = [one(value, 1) for number, value in parsed(endpoint) if number == 2]
                    assert found == expected
                    assert client.ticket(one(one(endpoint, 1), 1)).messages


def test_advertised_addresses_stand_in_every_endpoint(custodian: Custodian) -> None:
    address = "grpc+tls://data.example.org:8815"
    with custodian.serve("--advertise", address, tls=False) as server:
        with caller(custodian, server, {}) as client:
            for info in (client.info(statement(QUERIES[0])), client.info_of_path("events")):
                for endpoint in info.endpoints:
                    found = [one(value, 1) for number, value in parsed(endpoint) if number == 2]
                    assert address.encode() in found


def test_a_ticket_is_pulled_in_the_format_it_was_made_for(
    custodian: Custodian, server: Server
) -> None:
    with (
        caller(custodian, server, HEADERS["views"]) as asked,
        caller(custodian, server, {}) as bare,
    ):
        info = asked.info(statement(QUERIES[1]))
        for ticket in info.tickets:
            assert bare.ticket(ticket).schema.equals(info.schema, check_metadata=True)


def test_pyarrow_reads_every_format(custodian: Custodian, server: Server) -> None:
    partner = client_of(custodian, server, "cern")
    expected = partner.pull("events").table
    for headers in HEADERS.values():
        more = [(key.encode(), value.encode()) for key, value in headers.items()]
        options = pa.flight.FlightCallOptions(
            headers=[(b"authorization", b"Bearer " + partner.token.encode()), *more]
        )
        asked = pa.flight.FlightDescriptor.for_command(statement(QUERIES[0]))
        with partner.connect() as client:
            info = client.get_flight_info(asked, options)
            tables = [client.do_get(end.ticket, options).read_all() for end in info.endpoints]
        assert rows(pa.concat_tables(tables)) == rows(expected)
