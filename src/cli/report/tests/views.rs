//! What a report tells and what the view beside it tells are the same figures, over one dataset and under the
//! policy that we ship.

use arrow::array::{Array, AsArray, FixedSizeListArray, Int64Array};
use arrow::datatypes::Float32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use super::*;
use crate::report::cell;

/// The policy for HTCondor jobs, over what lies beside it.
fn policy() -> String {
    let text = include_str!("../../../../policies/htcondor-jobs.yaml");
    let own = text.replace("../demo-data/htcondor/*.parquet", "jobs/*.parquet");
    assert_ne!(own, text, "the source is written otherwise");
    own.replace("dataset: htcondor_jobs\n", "dataset: jobs\n")
        .replace("htcondor_jobs\n", "jobs\n")
        .replace("htcondor_jobs ", "jobs ")
}

/// Jobs that are as untidy as real ones: no user, no address, blank and padded sites in any case, users with
/// one handle at two institutes, one called `run`, environments of both syntaxes and of none.
fn custody() -> Custody {
    custody_with(&[])
}

/// The same, with other columns in the place of some.
fn custody_with(others: &[(&str, ArrayRef)]) -> Custody {
    let custody = Custody::empty();
    let text = |values: [&str; 12]| -> ArrayRef {
        Arc::new(StringArray::from_iter(values.map(|it| (it != "~").then_some(it))))
    };
    let whole = |values: [i32; 12]| -> ArrayRef {
        Arc::new(Int32Array::from_iter(values.map(|it| (it >= 0).then_some(it))))
    };
    let time = |offset: i64| -> ArrayRef {
        let at =
            |row: i64| (row != 5).then_some(1_767_600_000_000_000 + offset + row * 977_000_000);
        Arc::new(TimestampMicrosecondArray::from_iter((0..12).map(at)))
    };
    let (ada, run, bob) = ("ada@fnal.gov", "run@fnal.gov", "bob@cern.ch");
    let columns = [
        ("ClusterId", Arc::new(Int64Array::from_iter_values(0..12)) as ArrayRef),
        ("ProcId", whole([0; 12])),
        (
            "User",
            text([
                ada,
                run,
                "ada@cern.ch",
                bob,
                "~",
                ada,
                run,
                ada,
                " ADA@fnal.gov",
                bob,
                "NULL",
                ada,
            ]),
        ),
        (
            "AccountingGroup",
            text([
                "physics", "optics", "physics", "~", "physics", "muons", "physics", "physics",
                "optics", "physics", "muons", "~",
            ]),
        ),
        (
            "Experiment",
            text([
                "dune", "nova", "dune", "~", "gm2", "gm2", "dune", "nova", "nova", "~", "gm2",
                "dune",
            ]),
        ),
        (
            "Site",
            text([
                "FermiGrid",
                " FERMIGRID ",
                "fermigrid",
                "BNL",
                "~",
                "  ",
                "FermiGrid",
                "bnl",
                "O'Neill",
                "BNL\t",
                "FermiGrid",
                "fermigrid",
            ]),
        ),
        (
            "JobsubClientIpAddress",
            text([
                "131.225.10.7",
                "131.225.10.8",
                "10.0.0.1",
                "~",
                "10.0.0.1",
                "9.9.9.9",
                "no address",
                "131.225.10.7",
                "9.9.9.9",
                "~",
                "10.0.0.1",
                "~",
            ]),
        ),
        (
            "Cmd",
            text([
                "/home/ada/run.sh --to ada@fnal.gov",
                "~",
                "/bin/true",
                "a.sh",
                "./x -h 131.225.10.8",
                "~",
                "run.sh",
                "b",
                "c",
                "d",
                "e",
                "f",
            ]),
        ),
        (
            "Environment",
            text([
                "HOME=/home/ada EXPERIMENT=gm2 RFCLNAME=a.fcl,b.fcl TOKEN=x",
                "\"HOME=/home/run JOBSUB_OPTS='a b ''quoted'' c' POMS_ID=\"\"7\"\" SECRET=x\"",
                "EXPERIMENT=gm2;JOBSUB_X=a b=c;GRID_USER=ada;home=/x",
                "~",
                "no pairs here",
                "{\"HOME\": \"/home/bob\", \"EXPERIMENT\": \"mu2e\", \"X\": \"y\"}",
                "HOME=/h,TOKEN=x,EXPERIMENT=nova",
                "",
                "EXPERIMENT=b Experiment=a",
                "GRID_USER=bob",
                "POMS_A=1\nPOMS_B=2",
                "X=y",
            ]),
        ),
        ("QDate", time(0)),
        ("JobStartDate", time(30_000_000)),
        ("CompletionDate", time(90_000_000)),
        ("RequestMemory", whole([2000, 2000, 4000, -1, 500, 1, 2, 3, 4, 5, 6, 7])),
        ("RequestCpus", whole([1; 12])),
        ("CumulativeSlotTime", whole([0, 60, 120, 180, 240, -1, 1, 2, 3, 4, 5, 16_777_217])),
        ("NumJobStarts", whole([1, 1, 2, 0, 1, -1, 3, 1, 1, 1, 2, 1])),
        ("NumJobCompletions", whole([0, 1, 0, 0, 1, 0, 2, -1, 0, 0, 0, 1])),
        ("ExitCode", whole([0; 12])),
    ];
    let other = |name: &str| others.iter().find(|(other, _)| *other == name);
    let fields = columns.into_iter().map(|(name, column)| {
        (name, other(name).map_or(column, |(_, column)| Arc::clone(column)), true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(fields).unwrap();
    custody.write_parquet("jobs/a.parquet", &batch.slice(0, 7), 3);
    custody.write_parquet("jobs/b.parquet", &batch.slice(7, 5), 3);
    custody.write_policy("jobs.yaml", &policy());
    custody
}

/// Reports as JSON and views as rows of objects.
struct Both {
    custody: Custody,
    local: Local,
}

impl Both {
    fn new() -> Self {
        Self::over(custody())
    }

    fn over(custody: Custody) -> Self {
        let local = custody.open().unwrap();
        Self { custody, local }
    }

    fn view(&self, sql: &str) -> Vec<Map<String, Value>> {
        let mut rows = Vec::new();
        for batch in self.local.query("cern", sql).unwrap() {
            let batch = batch.unwrap();
            let columns: Vec<_> =
                batch.columns().iter().map(|column| cell::values(column).unwrap()).collect();
            let schema = batch.schema();
            let row = |at: usize| {
                let names = schema.fields().iter().map(|field| field.name().clone());
                names.zip(columns.iter().map(|column| column[at].clone())).collect()
            };
            rows.extend((0..batch.num_rows()).map(row));
        }
        assert!(!rows.is_empty(), "{sql}");
        rows
    }

    fn report(&self, words: &str) {
        let said = call(&self.custody, "cern", &format!("{words} --force"));
        assert_eq!(said.result, Ok(DONE), "{words}: {}", said.err);
    }

    fn json(&self, words: &str, file: &str) -> Value {
        self.report(&format!("{words} --format json"));
        serde_json::from_slice(&self.file(file)).unwrap()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.custody.folder.path().join("out").join(name)).unwrap()
    }
}

/// Some columns of rows, in any order of rows.
fn picked(rows: &[Map<String, Value>], names: &[&str]) -> Vec<String> {
    let pick = |row: &Map<String, Value>| {
        let values = names.iter().map(|name| row.get(*name).expect(name).clone());
        Value::Array(values.collect()).to_string()
    };
    sorted(rows.iter().map(pick).collect())
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

fn lists(list: &Value) -> Vec<String> {
    sorted(list.as_array().unwrap().iter().map(Value::to_string).collect())
}

fn objects(list: &Value) -> Vec<Map<String, Value>> {
    list.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

#[test]
fn users_and_addresses_are_the_same_in_report_and_view() {
    let both = Both::new();
    for (report, view, count) in [("users", "htcondor_users", 6), ("ips", "htcondor_ips", 5)] {
        let told = both.json(report, &format!("{report}.json"));
        let list = lists(&told[report]);
        assert_eq!(list.len(), count, "{list:?}");
        let rows = both.view(&format!("SELECT * FROM {view}"));
        assert_eq!(picked(&rows, &["token", "count", "valid"]), list);
    }
}

#[test]
fn correlations_are_the_same_in_report_and_view() {
    let both = Both::new();
    let told = both.json("correlations", "correlations.json");
    let rows = both.view("SELECT * FROM htcondor_user_ips");
    let list = lists(&told["user_ip_correlations"]);
    assert_eq!(picked(&rows, &["token", "ip_token", "count", "valid"]), list);
    let table = objects(&told["correlations"]);
    assert_eq!(
        picked(&rows, &["token", "ip_token", "ip_count", "distinct_ips"]),
        picked(&table, &["user", "ip", "ip_count", "distinct_ips"])
    );
    // Somebody comes from two addresses equally often, somebody from none.
    assert!(table.iter().any(|row| row["distinct_ips"].as_u64() > Some(1)));
    assert!(table.iter().any(|row| row["ip"].is_null() && !row["user"].is_null()));
}

#[test]
fn failed_users_are_the_same_in_report_and_view() {
    let both = Both::new();
    let told = both.json("failed-users", "failed_users.json");
    let rows = both.view("SELECT * FROM htcondor_failed_users");
    let table = objects(&told["rows"]);
    assert!(table.len() > 2 && table.iter().any(|row| row["frac_of_user_rows"] != json!(1.0)));
    assert_eq!(
        picked(&rows, &["token", "fails", "total", "share_of_user", "share_of_all", "valid"]),
        picked(
            &table,
            &["token", "fails", "total", "frac_of_user_rows", "frac_of_all_rows", "valid"]
        )
    );
}

/// Counters come as texts and as numbers with a fraction; what is no number is the largest of all to an engine.
#[test]
fn counters_of_any_kind_fail_the_same_users_in_report_and_view() {
    let texts = |values: [&str; 12]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let starts = vec![1.0, f64::NAN, f64::INFINITY, 0.0, 2.0, 1.0, 1.0, 1.0, 0.5, 1.0, -1.0, 1.0];
    let completions = texts([" 0 ", "0", "0", "0", "0.0", "none", "", "1", "0", "nan", "0", "0"]);
    let both = Both::over(custody_with(&[
        ("NumJobStarts", Arc::new(arrow::array::Float64Array::from(starts))),
        ("NumJobCompletions", completions),
    ]));
    let told = both.json("failed-users", "failed_users.json");
    assert_eq!(told["meta"]["total_failure_rows"], 4);
    let rows = both.view("SELECT * FROM htcondor_failed_users");
    let table = objects(&told["rows"]);
    assert_eq!(
        picked(&rows, &["token", "fails", "total", "share_of_all"]),
        picked(&table, &["token", "fails", "total", "frac_of_all_rows"])
    );
}

#[test]
fn sites_and_their_jobs_are_the_same_in_report_and_view() {
    let both = Both::new();
    let told = both.json("site --all-sites", "sites.json");
    let table = objects(&told["sites"]);
    let rows = both.view("SELECT * FROM htcondor_sites");
    assert_eq!(
        picked(&rows, &["site", "jobs", "spellings"]),
        picked(&table, &["site", "count", "spellings"])
    );
    assert_eq!((table.len(), &told["meta"]["rows_without_site"]), (3, &json!(2)));
    for site in &table {
        let (name, file) = (site["site"].as_str().unwrap(), site["file"].as_str().unwrap());
        let all = serde_json::from_slice::<Value>(&both.file(&format!("{file}.json"))).unwrap();
        let asked = name.to_uppercase();
        let one = both.json(&format!("site {asked}"), &format!("{file}.json"));
        assert_eq!(one["jobs_at_site"], all["jobs_at_site"], "asked for alone or with all");
        assert_eq!(one["meta"]["canonical_site"], name);
        let sql = format!(
            "SELECT * FROM htcondor_jobs_by_site WHERE lower(canonical_site) = lower('{}')",
            asked.replace('\'', "''")
        );
        let rows = both.view(&sql);
        let jobs = objects(&one["jobs_at_site"]);
        let names: Vec<&str> = jobs[0].keys().map(String::as_str).collect();
        assert_eq!(picked(&rows, &names), picked(&jobs, &names));
        assert_eq!(one["meta"]["total_jobs_at_site"], rows.len());
    }
}

#[test]
fn commands_and_environments_are_the_same_in_report_and_view() {
    let both = Both::new();
    let told = both.json("commands --no-meta --width 9999", "cmd_env_report.json");
    let mut blocks = lists(&told["blocks"]);
    let mut laid_out = Vec::new();
    for row in both.view("SELECT * FROM htcondor_commands") {
        let mut block = "Cmd:\n".to_owned();
        block.push_str(
            &row["Cmd"].as_str().map_or("  (none)\n".to_owned(), |cmd| format!("  {cmd}\n")),
        );
        block.push_str("Environment:\n");
        let none = Vec::new();
        let pairs = row["environment"].as_array().unwrap_or(&none);
        if pairs.is_empty() {
            block.push_str("  (none)\n");
        }
        for pair in pairs {
            let (key, value) = (pair["key"].as_str().unwrap(), pair["value"].as_str().unwrap());
            let sign = if key.is_empty() { "" } else { "=" };
            block.push_str(&format!("  {key}{sign}{value}\n"));
        }
        laid_out.push(block);
    }
    for block in &mut blocks {
        let text: String = serde_json::from_str(block).unwrap();
        *block = text.split_once('\n').unwrap().1.to_owned();
    }
    let (blocks, laid_out) = (sorted(blocks), sorted(laid_out));
    assert_eq!(laid_out, blocks);
    let all = blocks.concat();
    for line in [
        "  EXPERIMENT=gm2\n",
        "  RFCLNAME=a.fcl,b.fcl\n",
        "  JOBSUB_OPTS=a b 'quoted' c\n",
        "  POMS_ID=\"7\"\n",
        "  JOBSUB_X=a b=c\n",
        "  Experiment=a\n",
        "  EXPERIMENT=nova\n",
        "  <unparsed>\n",
    ] {
        assert!(all.contains(line), "{line}{all}");
    }
    for original in ["/home/ada", "/home/run", "/home/bob", "TOKEN", "SECRET", "ada@", "131.225."] {
        assert!(!all.contains(original), "{original}\n{all}");
    }
}

#[test]
fn records_are_the_same_in_report_and_view() {
    let both = Both::new();
    both.report("ragged");
    let lines = String::from_utf8(both.file("ragged.jsonl")).unwrap();
    let pairs = |list: &Value| -> String {
        let pair = |pair: &Value| format!("{}={}", cell::text(&pair["k"]), cell::text(&pair["v"]));
        list.as_array().unwrap().iter().map(pair).collect::<Vec<_>>().join("|")
    };
    let told = lines.lines().map(|line| pairs(&serde_json::from_str(line).unwrap())).collect();
    let rows = both.view("SELECT * FROM htcondor_records");
    let seen = rows.iter().map(|row| pairs(&row["record"])).collect();
    assert_eq!(sorted(seen), sorted(told));
}

#[test]
fn vectors_and_their_codes_are_the_same_in_report_and_view() {
    const COLUMNS: &str =
        "QDate,RequestMemory,RequestCpus,CumulativeSlotTime,NumJobStarts,Experiment,Site";
    let both = Both::new();
    both.report(&format!("vectors --columns {COLUMNS}"));
    let book: Value = serde_json::from_slice(&both.file("vectors.codebook.json")).unwrap();
    let rows = both.view("SELECT * FROM htcondor_codebook ORDER BY position, code");
    for (at, column) in book["columns"].as_array().unwrap().iter().enumerate() {
        let own: Vec<_> = rows.iter().filter(|row| row["position"] == at).collect();
        assert_eq!(own[0]["feature"], column["column"]);
        assert_eq!(own[0]["kind"], column["kind"]);
        let empty = json!([]);
        let values = column.get("values").unwrap_or(&empty).as_array().unwrap();
        let codes: Vec<Value> = own
            .iter()
            .filter(|row| !row["code"].is_null())
            .map(|row| json!({"code": row["code"], "value": row["value"], "count": row["count"]}))
            .collect();
        assert_eq!(&codes, values);
        assert_eq!(codes.is_empty(), column["kind"] != "category");
    }
    let file = std::fs::File::open(both.custody.folder.path().join("out/vectors.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let bits = |lists: &FixedSizeListArray| -> Vec<Vec<u32>> {
        let numbers = |row: usize| {
            let numbers = lists.value(row);
            let numbers = numbers.as_primitive::<Float32Type>().values().to_vec();
            numbers
                .into_iter()
                .take(7)
                .map(|it| if it.is_nan() { 0x7fc0_0000 } else { it.to_bits() })
                .collect()
        };
        (0..lists.len()).map(numbers).collect()
    };
    let mut told: Vec<Vec<u32>> = Vec::new();
    for batch in reader {
        told.extend(bits(batch.unwrap().column(0).as_fixed_size_list()));
    }
    let mut seen = Vec::new();
    for batch in both.local.query("cern", "SELECT features FROM htcondor_features").unwrap() {
        seen.extend(bits(batch.unwrap().column(0).as_fixed_size_list()));
    }
    told.sort();
    seen.sort();
    assert_eq!((told.len(), told[0].len()), (12, 7));
    assert_eq!(seen, told);
}
