//! The tables that describe a partner's catalogue: each partner sees their own, and nothing that does
//! not leave is named in any. Also the options of a session, over the wire.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo,
};
use tonic::Code;
use veilflight::audit::show::{Filter, lines};
use veilflight::wire::sql::metadata::{Metadata, schema, table};

use crate::site::{CANARY, JOBS, Site, code, path, with_token, write_policy};

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
