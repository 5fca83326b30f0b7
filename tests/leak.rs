//! No raw value leaves. Every raw cell holds a marker; after pulls, refusals and failures no byte that
//! left the server, no line it logged and no entry of its audit log holds one.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use arrow_flight::{Action, Criteria, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tonic::Status;
use tracing_subscriber::fmt::MakeWriter;

use crate::site::{Client, Site, path, with_token, write_policy};

/// What every raw text holds, and no output may.
const MARKER: &str = "c4n4ry";

/// The marker as a number: its bytes, least significant first.
const NUMBER: i64 = i64::from_le_bytes(*b"c4n4ry!!");

/// Rows in the raw file; every other one is filtered out by the policy.
const ROWS: usize = 600;

/// Rules for text columns under which nothing of the text may be seen.
const RULES: &[&str] = &[
    "'null'",
    "{constant: redacted}",
    "{mask: {length: same}}",
    "{pseudonym: {method: hmac}}",
    "{pseudonym: {method: hmac, keep: email_domain, normalize: [trim, case_fold]}}",
    "{pseudonym: {method: token, prefix: UR_}}",
    "{pseudonym: {method: token, style: letters, order: first_seen}}",
    "{pseudonym: {method: ff1, alphabet: lower, others: any}}",
    "{pseudonym: {method: ff1, alphabet: alphanumeric, others: any}}",
    "{pseudonym: aes_siv}",
    "{ip: crypto_pan}",
    "{ip: {method: ipcrypt_pfx, invalid: token}}",
    "{ip: truncate}",
    "email_domain",
    "{hierarchy: {file: levels.csv, level: 1}}",
    "{rare: {below: 5}}",
    "{regex_replace: {pattern: '^[0-9]+$', with: number}}",
    "drop",
];

/// Rules that draw for the person in another column, which lists have no place for.
const PERSON_RULES: &[&str] = &[
    "{randomized_response: {values: [a, b], person: Who, epsilon: 1}}",
    "{rappor: {person: Who}}",
    "{rappor: {person: Who, report: Who, f: 0.02, p: 0, q: 1}}",
];

/// Rules for number columns under which nothing of the number may be seen.
const NUMBER_RULES: &[&str] = &[
    "'null'",
    "{constant: 7}",
    "{pseudonym: {method: hmac}}",
    "{bucket: {edges: [0, 1000]}}",
    "{rappor: {person: Who}}",
];

/// The types a text column may be stored as.
fn text_types() -> Vec<DataType> {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    vec![DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary]
}

fn marked(column: &str, row: usize) -> String {
    format!("{MARKER}-{column}-{row}@example.org")
}

fn texts(column: &str) -> StringArray {
    (0..ROWS).map(|row| (row % 5 != 3).then(|| marked(column, row))).collect()
}

/// The raw table and the policy's lines for it.
fn table() -> (RecordBatch, String) {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut rules = String::new();
    let mut add = |name: String, array: ArrayRef, rule: &str| {
        rules.push_str(&format!("  {name}: {rule}\n"));
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    for (kind_at, kind) in text_types().iter().enumerate() {
        for (at, rule) in RULES.iter().chain(PERSON_RULES).enumerate() {
            let name = format!("T{kind_at}_{at}");
            let array = cast(&texts(&name), kind).unwrap();
            add(name, array, rule);
        }
        // Clear in the rows that leave; the dictionary holds the others' values too.
        let name = format!("Clear{kind_at}");
        let clear: StringArray = (0..ROWS)
            .map(|row| Some(if row % 2 == 0 { "fine".to_owned() } else { marked("Clear", row) }))
            .collect();
        add(name, cast(&clear, kind).unwrap(), "keep");
    }
    for (at, rule) in NUMBER_RULES.iter().enumerate() {
        let numbers: Int64Array = (0..ROWS).map(|row| (row % 7 != 2).then_some(NUMBER)).collect();
        add(format!("N{at}"), Arc::new(numbers), rule);
    }
    add("Who".to_owned(), Arc::new(texts("Who")), "drop");
    let bytes = texts("B");
    let bytes: Vec<Option<&[u8]>> = bytes.iter().map(|text| text.map(str::as_bytes)).collect();
    let binary: ArrayRef = Arc::new(BinaryArray::from(bytes.clone()));
    add("B0".to_owned(), binary, "{pseudonym: {method: hmac}}");
    let views: ArrayRef = Arc::new(BinaryViewArray::from_iter(bytes));
    add("B1".to_owned(), views, "drop");
    let items: ArrayRef = Arc::new(texts("L"));
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::from_lengths(vec![1; ROWS]),
        Arc::clone(&items),
        None,
    );
    add("L".to_owned(), Arc::new(list), "'null'");
    // Each rule once over lists of texts; what counts rows is refused there.
    for (at, rule) in RULES.iter().enumerate().filter(|(_, rule)| !rule.starts_with("{rare")) {
        let kind = text_types().swap_remove(at % 4);
        let elements: StringArray =
            (0..2 * ROWS).map(|element| (element % 5 != 3).then(|| marked("E", element))).collect();
        let list = ListArray::new(
            Arc::new(Field::new("item", kind.clone(), true)),
            OffsetBuffer::from_lengths(vec![2; ROWS]),
            cast(&elements, &kind).unwrap(),
            Some((0..ROWS).map(|row| row % 7 != 4).collect()),
        );
        add(format!("E{at}"), Arc::new(list), rule);
    }
    let inner = Fields::from(vec![Field::new(format!("{MARKER}_inside"), DataType::Utf8, true)]);
    add("S".to_owned(), Arc::new(StructArray::new(inner, vec![items], None)), "drop");
    let stays: BooleanArray = (0..ROWS).map(|row| Some(row % 2 == 0)).collect();
    add("Stays".to_owned(), Arc::new(stays), "drop");
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    (RecordBatch::try_new(schema, arrays).unwrap(), rules)
}

/// Writes the raw file: two row groups, metadata with markers in it.
fn write(folder: &Path, batch: &RecordBatch) {
    let note = || Some(vec![KeyValue::new("pandas".to_owned(), marked("metadata", 0))]);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROWS / 2))
        .set_created_by(marked("writer", 0))
        .set_key_value_metadata(note())
        .build();
    let file = std::fs::File::create(folder.join("marked.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Views over the marked columns: all of them, some computed, and one that fails on a value.
const VIEWS: &str = "\
views:
  - {name: seen, sql: SELECT * FROM marked}
  - name: listed
    sql: SELECT array_compact(make_array(nullif(\"T0_3\", \"T1_3\"), \"T0_9\", NULL)) AS list FROM marked
  - {name: wrong, sql: 'SELECT CAST(\"T0_3\" AS BIGINT) AS n FROM marked WHERE \"T0_3\" IS NOT NULL'}
grants:";

fn policy(dataset: &str, file: &str, columns: &str, rows: &str) -> String {
    format!(
        "version: 1\ndataset: {dataset}\ndescription: Markers\nsource: {{parquet: {file}}}\n\
         rows: \"{rows}\"\ncolumns:\n{columns}grants:\n  - {{partner: cern, access: rows}}\n"
    )
}

/// Everything a call gave, as bytes.
#[derive(Default)]
struct Heard(Vec<u8>);

impl Heard {
    fn status(&mut self, status: &Status) {
        write!(self.0, "{status:?} {:?}", status.metadata()).unwrap();
    }

    /// Pulls every endpoint of a dataset to its end or failure.
    async fn pull(&mut self, client: &mut Client, token: &str, dataset: &str) -> usize {
        self.ask(client, token, path(dataset)).await
    }

    /// The same of whatever a descriptor asks for.
    async fn ask(
        &mut self,
        client: &mut Client,
        token: &str,
        descriptor: FlightDescriptor,
    ) -> usize {
        let info = match client.get_flight_info(with_token(token, descriptor)).await {
            Ok(info) => info.into_inner(),
            Err(status) => {
                self.status(&status);
                return 0;
            }
        };
        write!(self.0, "{info:?}").unwrap();
        self.0.extend_from_slice(&info.schema);
        let mut messages = 0;
        for endpoint in info.endpoint {
            let request = with_token(token, endpoint.ticket.unwrap());
            let stream = match client.do_get(request).await {
                Ok(stream) => stream,
                Err(status) => {
                    self.status(&status);
                    continue;
                }
            };
            write!(self.0, "{:?}", stream.metadata()).unwrap();
            let mut stream = stream.into_inner();
            loop {
                match stream.try_next().await {
                    Ok(Some(message)) => {
                        messages += 1;
                        self.0.extend_from_slice(&message.data_header);
                        self.0.extend_from_slice(&message.data_body);
                        self.0.extend_from_slice(&message.app_metadata);
                    }
                    Ok(None) => break,
                    Err(status) => {
                        self.status(&status);
                        break;
                    }
                }
            }
        }
        messages
    }

    fn holds(&self, needle: &[u8]) -> bool {
        self.0.windows(needle.len()).any(|window| window == needle)
    }

    fn assert_clean(&self, whose: &str) {
        for needle in [MARKER.as_bytes(), &NUMBER.to_le_bytes(), NUMBER.to_string().as_bytes()] {
            let found = self.0.windows(needle.len()).position(|window| window == needle);
            if let Some(at) = found {
                let around = &self.0[at.saturating_sub(80)..(at + 120).min(self.0.len())];
                panic!("{whose} holds a raw value: {}", String::from_utf8_lossy(around));
            }
        }
    }
}

/// Every line that any thread of this process logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        tracing_subscriber::fmt()
            .with_env_filter("debug,h2=info,hyper=info")
            .with_writer(lines.clone())
            .with_ansi(false)
            .try_init()
            .expect("no other test sets the log");
        lines
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_raw_value_leaves_by_any_way() {
    let log = logged();
    let (batch, columns) = table();
    let site = Site::start().await;
    let folder = site.folder.path().join("policies");
    write(&folder, &batch);
    std::fs::write(folder.join("levels.csv"), "known;group\n").unwrap();
    let marked = policy("marked", "marked.parquet", &columns, "Stays");
    write_policy(site.folder.path(), "marked.yaml", &marked.replace("grants:", VIEWS));
    // Policies that fail on a value once the pull has begun.
    let failing = [
        ("short", "{pseudonym: {method: ff1, alphabet: digits, short: error}}", "Stays"),
        ("address", "{ip: {method: crypto_pan, invalid: error}}", "Stays"),
        ("level", "{hierarchy: {file: levels.csv, level: 1, other: error}}", "Stays"),
        ("filter", "'null'", "CAST(T0_0 AS BIGINT) > 1"),
    ];
    for (name, rule, rows) in failing {
        let first = columns.find('\n').unwrap();
        let changed = format!("  T0_0: {rule}{}", columns.split_at(first).1);
        let text = policy(name, "marked.parquet", &changed, rows);
        write_policy(site.folder.path(), &format!("{name}.yaml"), &text);
    }
    site.look_until(|flights| flights.catalog.policies().len() == 6).await;

    let token = site.partner("cern");
    let mut client = site.client().await;
    let mut heard = Heard::default();
    assert!(heard.pull(&mut client, &token, "marked").await >= 4, "two schemas and two batches");
    for (name, ..) in failing {
        let before = heard.0.len();
        heard.pull(&mut client, &token, name).await;
        let said = String::from_utf8_lossy(&heard.0[before..]).into_owned();
        assert!(said.contains("S002"), "{name} fails on a value: {said}");
        let before = heard.0.len();
        let failing = format!("SELECT max(\"T0_0\") FROM {name}");
        heard.ask(&mut client, &token, FlightDescriptor::new_cmd(failing)).await;
        let said = String::from_utf8_lossy(&heard.0[before..]).into_owned();
        assert!(said.contains("S002"), "{name} fails on a value in SQL: {said}");
    }
    for sql in [
        "SELECT * FROM marked",
        "SELECT \"T0_3\", count(*) FROM marked GROUP BY 1 ORDER BY 1 LIMIT 3",
        "SELECT substr(\"T0_3\", 1, 3), \"T1_1\" || 'x' FROM marked WHERE \"T0_3\" IS NOT NULL",
        "SELECT CASE WHEN length(\"T0_3\") > 99 THEN \"T0_3\" END FROM marked LIMIT 10",
        "SELECT DISTINCT a.\"T1_3\" FROM marked a JOIN marked b ON a.\"T1_3\" = b.\"T1_3\"",
    ] {
        let messages = heard.ask(&mut client, &token, FlightDescriptor::new_cmd(sql)).await;
        assert!(messages >= 2, "{sql}: a schema and a batch");
    }
    // What fails on a value that the statement computes.
    let cast = "SELECT CAST(\"T0_3\" AS BIGINT) FROM marked WHERE \"T0_3\" IS NOT NULL";
    let before = heard.0.len();
    heard.ask(&mut client, &token, FlightDescriptor::new_cmd(cast)).await;
    assert!(String::from_utf8_lossy(&heard.0[before..]).contains("Q003"));
    for view in ["seen", "listed"] {
        assert!(heard.pull(&mut client, &token, view).await >= 2, "{view}: a schema and a batch");
    }
    let before = heard.0.len();
    heard.pull(&mut client, &token, "wrong").await;
    assert!(String::from_utf8_lossy(&heard.0[before..]).contains("Q003"));
    // A file that breaks after its footer was read.
    let info = client.get_flight_info(with_token(&token, path("marked"))).await.unwrap();
    let tickets: Vec<Ticket> =
        info.into_inner().endpoint.into_iter().filter_map(|endpoint| endpoint.ticket).collect();
    let file = folder.join("marked.parquet");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    for ticket in tickets {
        let status = client.do_get(with_token(&token, ticket)).await.map(|_| ()).unwrap_err();
        heard.status(&status);
    }
    heard.pull(&mut client, &token, "marked").await;
    // Everything else one can ask.
    for name in ["veilflight.policy_info", "veilflight.server_info", MARKER] {
        let action = Action::new(name, "address");
        match client.do_action(with_token(&token, action)).await {
            Ok(answer) => {
                let results: Result<Vec<_>, _> = answer.into_inner().try_collect().await;
                write!(heard.0, "{results:?}").unwrap();
            }
            Err(status) => assert!(!status.message().is_empty()),
        }
    }
    let listed = client.list_flights(with_token(&token, Criteria::default())).await.unwrap();
    let infos: Vec<_> = listed.into_inner().try_collect().await.unwrap();
    write!(heard.0, "{infos:?}").unwrap();
    let command = FlightDescriptor::new_cmd("SELECT * FROM marked");
    match client.get_schema(with_token(&token, command.clone())).await {
        Ok(schema) => heard.0.extend_from_slice(&schema.into_inner().schema),
        Err(status) => heard.status(&status),
    }
    heard.ask(&mut client, &token, command).await;
    heard.assert_clean("what the partner heard");

    let mut audit = Heard::default();
    let entries = veilflight::audit::show::export(site.store.as_ref(), &mut audit.0).unwrap();
    assert!(entries >= 10);
    audit.assert_clean("the audit log");
    site.stop().await;
    let lines = Heard(log.0.lock().unwrap().clone());
    assert!(lines.0.len() > 1_000, "the log was captured");
    lines.assert_clean("the log");
}

/// The control: where the policy keeps a column, the same search finds the markers, so that finding
/// none above means something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_finds_what_a_policy_lets_out() {
    let (batch, columns) = table();
    let site = Site::start().await;
    write(&site.folder.path().join("policies"), &batch);
    let kept: String = columns
        .lines()
        .map(|line| match line.trim().split(':').next().unwrap() {
            "S" => format!("  S: {{keep: {{fields: [{MARKER}_inside]}}}}\n"),
            name => format!("  {name}: keep\n"),
        })
        .collect();
    let text = policy("marked", "marked.parquet", &kept, "Stays");
    write_policy(site.folder.path(), "marked.yaml", &text);
    site.look_until(|flights| flights.catalog.policies().len() == 2).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let mut heard = Heard::default();
    heard.pull(&mut client, &token, "marked").await;
    assert!(heard.holds(MARKER.as_bytes()));
    assert!(heard.holds(&NUMBER.to_le_bytes()));
    // Even then nothing of the rows that were filtered out: their dictionary entries are not sent.
    assert!(!heard.holds(marked("T3_0", 1).as_bytes()));
    assert!(!heard.holds(marked("Clear", 1).as_bytes()));
    assert!(heard.holds(marked("T3_0", 2).as_bytes()));
    assert!(!heard.holds(marked("metadata", 0).as_bytes()));
    site.stop().await;
}
