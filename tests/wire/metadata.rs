//! The tables that describe a partner's catalogue: each partner sees their own, and nothing that does
//! not leave is named in any. Also the options of a session, over the wire.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int32Type, Schema};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo,
};
use arrow_flight::{Action, FlightData, IpcMessage};
use futures::TryStreamExt;
use tonic::Code;
use veilflight::audit::show::{Filter, lines};
use veilflight::wire::sql::metadata::{Metadata, schema, table};
use veilflight::wire::sql::types;

use crate::site::{CANARY, Client, JOBS, Site, code, path, ticket, with_token, write_policy};

/// A server with a dataset of each of two partners, one of both, and one that cannot be planned.
async fn site() -> Site {
    let site = Site::start().await;
    let change = |name: &str, from: &str, to: &str| {
        let text = JOBS.replace("dataset: jobs", &format!("dataset: {name}")).replace(from, to);
        assert!(text.contains(to));
        write_policy(site.folder.path(), &format!("{name}.yaml"), &text);
    };
    change("jets", "partner: cern", "partner: fnal");
    change("both", "grants:", "grants:\n  - {partner: fnal, access: rows}");
    change("drifted", "User: drop", "User: drop\n  Gone: keep");
    change("expired", "access: rows", "access: rows, until: 2020-01-01");
    site.look_until(|flights| flights.catalog.policies().len() == 5).await;
    site
}

/// Every metadata command, the widest of each.
fn all() -> Vec<Metadata> {
    let tables = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let table = "jobs".to_owned();
    vec![
        Metadata::Catalogs,
        Metadata::DbSchemas(CommandGetDbSchemas::default()),
        Metadata::Tables(CommandGetTables::default()),
        Metadata::Tables(tables),
        Metadata::TableTypes,
        Metadata::SqlInfo(CommandGetSqlInfo::default()),
        Metadata::XdbcTypeInfo(CommandGetXdbcTypeInfo::default()),
        Metadata::PrimaryKeys(CommandGetPrimaryKeys { table, ..Default::default() }),
        Metadata::ExportedKeys(CommandGetExportedKeys::default()),
        Metadata::ImportedKeys(CommandGetImportedKeys::default()),
        Metadata::CrossReference(CommandGetCrossReference::default()),
    ]
}

fn texts(table: &RecordBatch, column: &str) -> Vec<String> {
    table[column].as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
}

async fn tables(site: &Site, partner: &str, command: CommandGetTables) -> RecordBatch {
    table(&site.flights, partner, &Metadata::Tables(command)).await.unwrap()
}

/// The names of the datasets' tables that a command finds.
async fn names(site: &Site, partner: &str, command: CommandGetTables) -> Vec<String> {
    texts(&tables(site, partner, command).await, "table_name")
}

fn datasets() -> CommandGetTables {
    CommandGetTables { table_types: vec!["TABLE".to_owned()], ..CommandGetTables::default() }
}

#[tokio::test]
async fn every_answer_has_exactly_the_schema_that_is_promised() {
    let site = site().await;
    for asked in all() {
        let table = table(&site.flights, "cern", &asked).await.unwrap();
        assert_eq!(table.schema(), schema(&asked), "{asked:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn two_partners_see_their_own_datasets_and_one_out_of_order_hides_no_other() {
    let site = site().await;
    assert_eq!(names(&site, "cern", datasets()).await, ["both", "jobs"]);
    assert_eq!(names(&site, "fnal", datasets()).await, ["both", "jets"]);
    assert_eq!(names(&site, "desy", datasets()).await, [] as [&str; 0]);
    let all = tables(&site, "desy", CommandGetTables::default()).await;
    assert_eq!(texts(&all, "table_type"), vec!["SYSTEM TABLE"; all.num_rows()]);
    assert_eq!(texts(&all, "db_schema_name"), vec!["information_schema"; all.num_rows()]);
    site.stop().await;
}

#[tokio::test]
async fn tables_are_found_by_catalogue_schema_name_and_sort() {
    let site = site().await;
    let text = |text: &str| Some(text.to_owned());
    let none: [&str; 0] = [];
    for (command, expected) in [
        (CommandGetTables { catalog: text("veilflight"), ..datasets() }, vec!["both", "jobs"]),
        (CommandGetTables { catalog: text(""), ..datasets() }, none.to_vec()),
        (CommandGetTables { catalog: text("Veil%"), ..datasets() }, none.to_vec()),
        (
            CommandGetTables { db_schema_filter_pattern: text("pub_ic"), ..datasets() },
            vec!["both", "jobs"],
        ),
        (CommandGetTables { db_schema_filter_pattern: text("info%"), ..datasets() }, none.to_vec()),
        (CommandGetTables { table_name_filter_pattern: text("j%"), ..datasets() }, vec!["jobs"]),
        (CommandGetTables { table_name_filter_pattern: text("jets"), ..datasets() }, none.to_vec()),
        (CommandGetTables { table_types: vec!["VIEW".to_owned()], ..datasets() }, none.to_vec()),
    ] {
        assert_eq!(names(&site, "cern", command.clone()).await, expected, "{command:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_tables_schema_holds_what_leaves_and_says_what_was_done_to_it() {
    let site = site().await;
    let command = CommandGetTables { include_schema: true, ..datasets() };
    let table = tables(&site, "cern", command).await;
    let schemas = table["table_schema"].as_binary::<i32>();
    for (at, name) in ["both", "jobs"].into_iter().enumerate() {
        let message = IpcMessage(schemas.value(at).to_vec().into());
        let schema = Schema::try_from(message).unwrap();
        assert_eq!(schema.fields().len(), 1);
        assert_eq!(schema.metadata()["veilflight.access"], "rows");
        assert_eq!(schema.metadata()["veilflight.description"], "Batch jobs");
        let field = schema.field(0);
        assert_eq!((field.name().as_str(), field.data_type()), ("Id", &DataType::Int64));
        for (key, value) in [
            ("veilflight.protection", "keep"),
            ("ARROW:FLIGHT:SQL:CATALOG_NAME", "veilflight"),
            ("ARROW:FLIGHT:SQL:DB_SCHEMA_NAME", "public"),
            ("ARROW:FLIGHT:SQL:TABLE_NAME", name),
            ("ARROW:FLIGHT:SQL:TYPE_NAME", "BIGINT"),
            ("ARROW:FLIGHT:SQL:PRECISION", "19"),
            ("ARROW:FLIGHT:SQL:IS_READ_ONLY", "1"),
            ("ARROW:FLIGHT:SQL:REMARKS", "Sends the value as it is."),
        ] {
            assert_eq!(field.metadata()[key], value, "{key}");
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn nothing_that_stays_is_named_in_any_table() {
    let site = site().await;
    for partner in ["cern", "fnal", "desy"] {
        for asked in all() {
            let table = table(&site.flights, partner, &asked).await.unwrap();
            let mut bytes = Vec::new();
            for column in table.columns() {
                collect(&column.to_data(), &mut bytes);
            }
            let text = format!("{:?}", table.schema());
            for hidden in ["User", CANARY, "parquet", "Gone", "expired"] {
                let found = bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes());
                assert!(!found && !text.contains(hidden), "{partner}: {hidden} in {asked:?}");
            }
        }
    }
    site.stop().await;
}

/// Every byte behind an array.
fn collect(data: &arrow::array::ArrayData, bytes: &mut Vec<u8>) {
    for buffer in data.buffers() {
        bytes.extend_from_slice(buffer.as_slice());
    }
    for child in data.child_data() {
        collect(child, bytes);
    }
}

/// Every metadata command by the client that comes with Arrow: the info's schema, and the table.
async fn pulled(site: &Site, token: &str) -> Vec<(Schema, RecordBatch)> {
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(token.to_owned());
    // What is chosen for statements leaves these tables as drivers expect them.
    client.set_header("veilflight-strings", "utf8_view");
    client.set_header("veilflight-compression", "zstd");
    let mut answers = Vec::new();
    for asked in all() {
        let info = match asked {
            Metadata::Catalogs => client.get_catalogs().await,
            Metadata::DbSchemas(command) => client.get_db_schemas(command).await,
            Metadata::Tables(command) => client.get_tables(command).await,
            Metadata::TableTypes => client.get_table_types().await,
            Metadata::SqlInfo(_) => client.get_sql_info(Vec::new()).await,
            Metadata::XdbcTypeInfo(command) => client.get_xdbc_type_info(command).await,
            Metadata::PrimaryKeys(command) => client.get_primary_keys(command).await,
            Metadata::ExportedKeys(command) => client.get_exported_keys(command).await,
            Metadata::ImportedKeys(command) => client.get_imported_keys(command).await,
            Metadata::CrossReference(command) => client.get_cross_reference(command).await,
        };
        let info = info.unwrap();
        assert_eq!(info.endpoint.len(), 1);
        let schema = info.clone().try_decode_schema().unwrap();
        let stream = client.do_get(ticket(&info, 0)).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        answers.push((schema.clone(), concat_batches(&Arc::new(schema), &batches).unwrap()));
    }
    answers
}

#[tokio::test]
async fn the_client_that_comes_with_arrow_pulls_every_table_as_promised() {
    let site = site().await;
    let token = site.partner("cern");
    for (asked, (schema, pulled)) in all().into_iter().zip(pulled(&site, &token).await) {
        let made = table(&site.flights, "cern", &asked).await.unwrap();
        assert_eq!(schema, *made.schema(), "{asked:?}");
        assert_eq!(pulled, made, "{asked:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn every_type_that_is_listed_can_be_cast_to() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(token);
    let listed = types::table(None).unwrap();
    let numbers = listed["data_type"].as_primitive::<Int32Type>();
    let names = texts(&listed, "type_name");
    let number_of = |name: &str| {
        names.iter().position(|known| known == name).map(|at| numbers.value(at)).unwrap()
    };
    for name in &names {
        let sql = format!("SELECT CAST(NULL AS {name}) AS value FROM jobs");
        let info =
            client.execute(sql, None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let schema = info.try_decode_schema().unwrap();
        // Spellings of one type, such as `TEXT` and `VARCHAR`, differ in number alone.
        let kind = types::name(schema.field(0).data_type());
        let text = |name: &str| ["CHAR", "VARCHAR", "STRING", "TEXT"].contains(&name);
        let decimal = |name: &str| ["DECIMAL", "NUMERIC"].contains(&name);
        let same = number_of(kind) == number_of(name)
            || (text(kind) && text(name))
            || (decimal(kind) && decimal(name));
        assert!(same, "{name} is {kind}");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_the_server_says_of_its_grammar_is_so() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(token);
    let few = "FROM jobs WHERE id < 3";
    for (what, sql, expected) in [
        ("names in any case", format!("SELECT ID {few} ORDER BY iD"), vec!["0", "1", "2"]),
        ("column aliases", format!("SELECT id AS n {few} ORDER BY n"), vec!["0", "1", "2"]),
        ("table aliases", "SELECT a.id FROM jobs AS a WHERE a.id = 7".to_owned(), vec!["7"]),
        ("order by an expression", format!("SELECT id {few} ORDER BY -id"), vec!["2", "1", "0"]),
        (
            "order by what is not selected",
            format!("SELECT id * 10 AS n {few} ORDER BY id DESC"),
            vec!["20", "10", "0"],
        ),
        (
            "group by what is not selected",
            format!("SELECT count(*) {few} GROUP BY id"),
            vec!["1", "1", "1"],
        ),
        (
            "nulls are the largest",
            format!("SELECT NULLIF(id, 0) AS n {few} ORDER BY n"),
            vec!["1", "2", ""],
        ),
        (
            "a text and null are null",
            "SELECT CAST('a' || CAST(NULL AS VARCHAR) AS BIGINT) FROM jobs WHERE id = 0".to_owned(),
            vec![""],
        ),
        (
            "outer joins",
            "SELECT b.id FROM jobs a FULL OUTER JOIN jobs b ON a.id = b.id + 9999 \
             WHERE a.id IS NULL OR a.id = 9999 ORDER BY 1 LIMIT 2"
                .to_owned(),
            vec!["0", "1"],
        ),
        (
            "subqueries in comparisons",
            "SELECT id FROM jobs WHERE id = (SELECT max(id) FROM jobs)".to_owned(),
            vec!["9999"],
        ),
        (
            "subqueries in EXISTS, correlated",
            format!(
                "SELECT id {few} AND EXISTS (SELECT 1 FROM jobs b WHERE b.id = jobs.id + 9998) \
                 ORDER BY 1"
            ),
            vec!["0", "1"],
        ),
        (
            "subqueries in IN",
            format!("SELECT id {few} AND id IN (SELECT id + 1 FROM jobs) ORDER BY 1"),
            vec!["1", "2"],
        ),
        ("UNION", format!("SELECT id {few} UNION SELECT id {few} ORDER BY 1"), vec!["0", "1", "2"]),
        (
            "UNION ALL",
            "SELECT id FROM jobs WHERE id = 1 UNION ALL SELECT id FROM jobs WHERE id = 1"
                .to_owned(),
            vec!["1", "1"],
        ),
        (
            "LIKE with an escape",
            "SELECT id FROM jobs WHERE id = 1 AND 'a%' LIKE 'a\\%' ESCAPE '\\'".to_owned(),
            vec!["1"],
        ),
    ] {
        let info =
            client.execute(sql, None).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut found = Vec::new();
        for endpoint in 0..info.endpoint.len() {
            let stream = client.do_get(ticket(&info, endpoint)).await.unwrap();
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            for batch in batches {
                let column = cast(batch.column(0), &DataType::Utf8).unwrap();
                let column = column.as_string::<i32>();
                found.extend(column.iter().map(|text| text.unwrap_or_default().to_owned()));
            }
        }
        assert_eq!(found, expected, "{what}");
    }
    site.stop().await;
}

#[tokio::test]
async fn statements_see_the_information_schema_that_the_catalogue_promises() {
    let site = site().await;
    let token = site.partner("cern");
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(token);
    let kind = vec!["SYSTEM TABLE".to_owned()];
    let command = CommandGetTables { table_types: kind, include_schema: true, ..datasets() };
    let listed = tables(&site, "cern", command).await;
    let schemas = listed["table_schema"].as_binary::<i32>();
    assert_eq!(texts(&listed, "table_name"), ["columns", "schemata", "tables"]);
    for (at, name) in texts(&listed, "table_name").into_iter().enumerate() {
        let promised = Schema::try_from(IpcMessage(schemas.value(at).to_vec().into())).unwrap();
        let sql = format!("SELECT * FROM information_schema.{name}");
        let schema = client.execute(sql, None).await.unwrap().try_decode_schema().unwrap();
        let shape = |schema: &Schema| -> Vec<(String, DataType, bool)> {
            let fields = schema.fields().iter();
            fields.map(|f| (f.name().clone(), f.data_type().clone(), f.is_nullable())).collect()
        };
        assert_eq!(shape(&schema), shape(&promised), "{name}");
    }
    let sql = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2";
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let stream = client.do_get(ticket(&info, 0)).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let asked = concat_batches(&batches[0].schema(), &batches).unwrap();
    let all = tables(&site, "cern", CommandGetTables::default()).await;
    assert_eq!(texts(&asked, "table_name"), texts(&all, "table_name"));
    assert_eq!(texts(&asked, "table_schema"), texts(&all, "db_schema_name"));
    site.stop().await;
}

#[tokio::test]
async fn options_of_a_session_hold_over_the_wire_until_it_is_closed() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    // One option, `compression` set to `zstd`, as protobuf.
    let body = b"\x0a\x15\x0a\x0bcompression\x12\x06\x0a\x04zstd".to_vec();
    let set = Action { r#type: "SetSessionOptions".to_owned(), body: body.into() };
    let answer = client.do_action(with_token(&token, set)).await.unwrap();
    let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();
    let results: Vec<_> = answer.into_inner().try_collect().await.unwrap();
    assert!(results[0].body.is_empty(), "no option was refused");
    let cookie = cookie.split(';').next().unwrap();

    let pull = async |client: &mut Client, cookie: &str| {
        let mut request = with_token(&token, path("jobs"));
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
        let info = client.get_flight_info(request).await.unwrap().into_inner();
        let stream = client.do_get(with_token(&token, ticket(&info, 0))).await.unwrap();
        let messages: Vec<FlightData> = stream.into_inner().try_collect().await.unwrap();
        messages.iter().map(|message| message.data_body.len()).sum::<usize>()
    };
    let plain = pull(&mut client, "a=b").await;
    let compressed = pull(&mut client, cookie).await;
    assert!(compressed * 2 < plain, "{compressed} of {plain} bytes");

    let mut close = with_token(&token, Action::new("CloseSession", ""));
    close.metadata_mut().insert("cookie", cookie.parse().unwrap());
    let answer = client.do_action(close).await.unwrap();
    let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap();
    assert_eq!(cookie, "arrow_flight_session_id=; Path=/; Max-Age=0");
    let other = site.partner("fnal");
    let mut request = with_token(&other, Action::new("GetSessionOptions", ""));
    request.metadata_mut().insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
    assert!(client.do_action(request).await.is_ok(), "an emptied cookie is none");
    site.stop().await;
}

#[tokio::test]
async fn a_header_that_means_nothing_is_refused_after_the_credentials_were_looked_at() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let mut request = with_token(&token, path("jobs"));
    request.metadata_mut().insert("veilflight-compression", "rar".parse().unwrap());
    let status = client.get_flight_info(request).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::InvalidArgument, "R001"));
    assert!(status.message().contains("`veilflight-compression` takes none, lz4 or zstd"));

    let mut request = with_token("wrong", path("jobs"));
    request.metadata_mut().insert("veilflight-compression", "rar".parse().unwrap());
    let status = client.get_flight_info(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(!status.message().contains("rar") && !status.message().contains("lz4"));

    let mut request = with_token(&token, path("jobs"));
    request.metadata_mut().insert("cookie", "arrow_flight_session_id=x; a=b".parse().unwrap());
    let status = client.get_flight_info(request).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::InvalidArgument, "T001"));
    let store = Arc::clone(&site.store);
    site.stop().await;
    let told: Vec<(String, String, Option<String>)> = lines(store.as_ref(), &Filter::default())
        .unwrap()
        .into_iter()
        .map(|line| (line.subject.method, line.subject.partner, line.code))
        .collect();
    let refused = |partner: &str, code: &str| {
        ("GetFlightInfo".to_owned(), partner.to_owned(), Some(code.to_owned()))
    };
    assert_eq!(told, [refused("cern", "R001"), refused("", "I002"), refused("cern", "T001")]);
}
