//! Files against the wire: for every policy that we ship, what `export` writes is what a partner pulls from
//! a server with the same keys and state. Real data come from beside the project.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use veilflight::cli::{self, Exit};
use veilflight::clock::{Clock, ManualClock, SystemClock};
use veilflight::state::Sqlite;

use crate::shared::shared;
use crate::site::{Client, KEY, Site, info, ticket, with_token};

/// A folder with our policies, their data, keys and an empty state.
fn folder() -> Option<TempDir> {
    let shared = shared("data")?;
    let folder = tempfile::tempdir().unwrap();
    let (policies, state) = (folder.path().join("policies"), folder.path().join("state"));
    std::fs::create_dir(&policies).unwrap();
    std::fs::create_dir(&state).unwrap();
    veilflight::keys::provider::create_file(
        &state.join("master.key"),
        &veilflight::keys::provider::MasterKeys::parse(KEY, "a key").unwrap(),
    )
    .unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    copy(&ours, &policies, &|text| {
        text.replace("../../shared/data", shared.to_str().unwrap())
            .replace("../demo-data/htcondor/*.parquet", "condor.parquet")
    });
    write_condor(&policies.join("condor.parquet"));
    Some(folder)
}

fn copy(from: &Path, to: &Path, change: &dyn Fn(String) -> String) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            std::fs::create_dir(to.join(name)).unwrap();
            copy(&path, &to.join(name), change);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "csv") {
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(to.join(name), change(text)).unwrap();
        }
    }
}

/// Jobs of a pool, with what real ones have: no address, a comma in an environment, IPv6, no end.
fn write_condor(path: &Path) {
    let rows = 500_i64;
    let number = |of: fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows).map(of)))
    };
    let text = |of: fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter((0..rows).map(of)))
    };
    let moment = |of: fn(i64) -> Option<i64>| -> ArrayRef {
        let moments = (0..rows).map(of).map(|it| it.map(|seconds| seconds * 1_000_000));
        Arc::new(TimestampMicrosecondArray::from_iter(moments).with_timezone("UTC"))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ClusterId", number(|row| 70_000 + row)),
        ("ProcId", number(|row| row % 7)),
        ("User", text(|row| (row % 13 != 5).then(|| format!("Handle{}@fnal.gov", row % 23)))),
        ("AccountingGroup", text(|row| Some(format!("group_dune.prod.handle{}", row % 23)))),
        (
            "Experiment",
            text(|row| Some(["dune", "nova"][usize::try_from(row % 2).unwrap()].into())),
        ),
        ("Site", text(|row| (row % 9 != 0).then(|| format!("Site-{}", row % 4)))),
        (
            "JobsubClientIpAddress",
            text(|row| match row % 4 {
                0 => None,
                1 => Some(format!("131.225.7.{}", row % 200)),
                2 => Some(format!("2001:1458:d00::{:x}", row + 1)),
                _ => Some("no address".to_owned()),
            }),
        ),
        (
            "Cmd",
            text(|row| Some(format!("/exp/dune/users/handle{}/run_{}.sh", row % 23, row % 50))),
        ),
        ("Environment", text(|row| Some(format!("EXPERIMENT=gm2 RFCL=a{row}.fcl,b.fcl")))),
        ("QDate", moment(|row| Some(1_704_067_200 + 977 * row))),
        ("JobStartDate", moment(|row| Some(1_704_067_300 + 977 * row))),
        ("CompletionDate", moment(|row| (row % 5 != 0).then_some(1_704_070_000 + 977 * row))),
        ("RequestMemory", number(|row| 2_000 + row % 3)),
        ("RequestCpus", number(|row| 1 + row % 3)),
        ("CumulativeSlotTime", number(|row| 37 * row)),
        ("NumJobStarts", number(|row| 1 + row % 2)),
        ("NumJobCompletions", number(|row| row % 2)),
        ("ExitCode", number(|row| row % 2)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// All that a partner pulls, in the order of the endpoints.
async fn pulled(client: &mut Client, token: &str, dataset: &str) -> RecordBatch {
    let info = info(client, token, dataset).await.unwrap();
    let schema: SchemaRef = Arc::new(info.clone().try_decode_schema().unwrap());
    let mut batches = Vec::new();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(token, ticket(&info, endpoint))).await.unwrap();
        let stream = stream.into_inner().map_err(Into::into);
        let decoded = FlightRecordBatchStream::new_from_flight_data(stream);
        batches.extend(decoded.try_collect::<Vec<_>>().await.unwrap());
    }
    concat_batches(&schema, &batches).unwrap()
}

/// Runs the program: exit and what it said.
fn run(folder: &Path, words: &[&str]) -> (Exit, String) {
    let (state, policies) = (folder.join("state"), folder.join("policies"));
    let places = ["--state", state.to_str().unwrap(), "--policies", policies.to_str().unwrap()];
    let words = ["veilflight"].iter().chain(words).chain(&places).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run(words, &mut out, &mut err);
    (exit, String::from_utf8([out, err].concat()).unwrap())
}

/// The rows of an exported file.
fn read(path: &Path, format: &str, schema: &SchemaRef) -> RecordBatch {
    let file = File::open(path).unwrap();
    let batches: Vec<RecordBatch> = match format {
        "parquet" => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            assert_eq!(reader.schema().as_ref(), schema.as_ref());
            reader.build().unwrap().map(|batch| batch.unwrap()).collect()
        }
        "arrow" => {
            let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
            assert_eq!(reader.schema().as_ref(), schema.as_ref());
            reader.map(|batch| batch.unwrap()).collect()
        }
        "csv" => {
            let reader = arrow_csv::ReaderBuilder::new(Arc::clone(schema)).with_header(true);
            reader.build(file).unwrap().map(|batch| batch.unwrap()).collect()
        }
        _ => {
            let reader = arrow_json::ReaderBuilder::new(Arc::clone(schema)).with_strict_mode(true);
            let reader = reader.build(std::io::BufReader::new(file)).unwrap();
            reader.map(|batch| batch.unwrap()).collect()
        }
    };
    concat_batches(schema, &batches).unwrap()
}

/// The rows with null for empty texts, which the reader of CSV cannot tell apart; our files do, see
/// `csv_tells_null_from_nothing_and_shows_nested_values_as_json`.
fn without_empty(batch: &RecordBatch) -> Vec<ArrayRef> {
    let blank = |column: &ArrayRef| {
        if *column.data_type() != DataType::Utf8 {
            return Arc::clone(column);
        }
        let texts = cast(column, &DataType::Utf8).unwrap();
        let texts = texts.as_string::<i32>().iter();
        Arc::new(StringArray::from_iter(texts.map(|text| text.filter(|text| !text.is_empty()))))
            as ArrayRef
    };
    batch.columns().iter().map(blank).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_the_wire_gives_for_every_policy_that_we_ship() {
    let Some(folder) = folder() else { return };
    let clock = ManualClock::new(SystemClock.now_micros());
    let state = folder.path().join("state/state.sqlite");
    let store = Arc::new(Sqlite::open(&state, Arc::new(clock.clone())).unwrap());
    let site = Site::start_over(folder, &[], clock, store).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    for dataset in ["adult_rows", "htcondor_jobs", "slurm_accounting", "traffic_stops"] {
        let wire = pulled(&mut client, &token, dataset).await;
        assert!(wire.num_rows() >= 500, "{dataset}");
        let root = site.folder.path().to_owned();
        let compared = tokio::task::spawn_blocking(move || compare(&root, dataset, &wire));
        compared.await.unwrap();
    }
    site.stop().await;
}

fn compare(root: &Path, dataset: &str, wire: &RecordBatch) {
    // Our metadata stay with the types, in the formats that have a place for them.
    let schema = wire.schema();
    let plain: Vec<_> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let plain: SchemaRef = Arc::new(Schema::new(plain));
    for format in ["parquet", "arrow", "csv", "jsonl"] {
        let path = root.join(format!("{dataset}.{format}"));
        let out = path.to_str().unwrap();
        let words = ["export", dataset, "--partner", "cern", "--to", format, "--out", out];
        let (exit, said) = run(root, &words);
        assert_eq!(exit, Exit::Done, "{dataset} {format}: {said}");
        let text = matches!(format, "csv" | "jsonl");
        let rows = read(&path, format, if text { &plain } else { &schema });
        assert_eq!(rows.num_rows(), wire.num_rows(), "{dataset} {format}");
        let (mut got, mut expected) = (rows.columns().to_vec(), wire.columns().to_vec());
        if format == "csv" {
            (got, expected) = (without_empty(&rows), without_empty(wire));
        }
        for (at, field) in schema.fields().iter().enumerate() {
            assert_eq!(got[at].to_data(), expected[at].to_data(), "{dataset} {format} {field:?}");
        }
    }
    // Adult has no identifiers: what a person was is hidden by rules for what many share.
    let verdict = if dataset == "adult_rows" { "matches, nothing looked for" } else { "clean" };
    for format in ["parquet", "arrow", "csv", "jsonl"] {
        let path = root.join(format!("{dataset}.{format}"));
        let (exit, said) = run(root, &["verify", path.to_str().unwrap()]);
        assert_eq!(exit, Exit::Done, "{dataset} {format}: {said}");
        assert!(said.ends_with(&format!("verdict: {verdict}\n")), "{dataset} {format}: {said}");
    }
}
