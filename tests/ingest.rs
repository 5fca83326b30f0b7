//! Real dumps brought in, and figures that were counted by hand on their text. Knows nothing of how.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use veilflight::pipeline::ingest::format::{Options, Steps};
use veilflight::pipeline::ingest::{
    Counts, Earlier, Limits, Observer, Request, Summary, format, run,
};

use crate::shared::shared;

/// The names of the fields of the dumps without a header, in the order of their columns.
const FIELDS: &str = "jobid,jobidraw,cluster,partition,qos,account,group,gid,user,uid,submit,\
    eligible,start,end,elapsed,exitcode,state,nnodes,ncpus,reqcpus,reqmem,reqtres,alloctres,\
    timelimit,nodelist,jobname";

#[derive(Debug)]
struct Silent;

impl Observer for Silent {
    fn begin(&self, _: u64) {}
    fn read(&self, _: u64) {}
}

/// A file of the shared data.
fn data(name: &str) -> Option<PathBuf> {
    shared(&format!("data/{name}"))
}

fn ingest(name: &str, input: PathBuf, options: Options) -> (Summary, RecordBatch) {
    let folder = tempfile::tempdir().unwrap();
    let request = Request {
        format: format(name).unwrap(),
        inputs: vec![input],
        out: folder.path().join("out"),
        rejects: None,
        options,
        normalize: false,
        earlier: Earlier::Resume,
        limits: Limits { rows_per_group: 1_000, rows_per_file: 5_000, threads: 2 },
    };
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let done = run(&request, &observer).unwrap();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&request.out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let file = std::fs::File::open(file).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    let schema = batches[0].schema();
    let table = compute::concat_batches(&schema, &batches).unwrap();
    assert_eq!(table.num_rows() as u64, done.counts.rows);
    (done, table)
}

fn dump(name: &str) -> Option<(Summary, RecordBatch)> {
    let fields = Some(FIELDS.split(',').map(str::to_owned).collect());
    Some(ingest("slurm", data(name)?, Options { fields, ..Options::default() }))
}

fn sum(table: &RecordBatch, name: &str) -> i64 {
    compute::sum(table.column_by_name(name).unwrap().as_primitive::<Int64Type>()).unwrap()
}

fn texts(table: &RecordBatch, name: &str) -> Vec<String> {
    let column = table.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().flatten().map(str::to_owned).collect()
}

fn count(table: &RecordBatch, name: &str, value: &str) -> usize {
    texts(table, name).iter().filter(|text| *text == value).count()
}

fn distinct(table: &RecordBatch, name: &str) -> usize {
    texts(table, name).into_iter().collect::<BTreeSet<_>>().len()
}

fn nulls(table: &RecordBatch, name: &str) -> usize {
    table.column_by_name(name).unwrap().null_count()
}

fn seconds(table: &RecordBatch, name: &str) -> i64 {
    let column = table.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>();
    column.iter().flatten().map(|micros| micros / 1_000_000).sum()
}

#[test]
fn a_dump_of_eleven_thousand_jobs_has_the_figures_of_its_text() {
    let Some((done, table)) = dump("slurm/pozidriv.log") else { return };
    assert_eq!(done.counts, Counts { rows: 11_704, rejected: 0, left_out: 0 });
    assert_eq!(done.files, 3);
    assert_eq!(distinct(&table, "User"), 18);
    assert_eq!(sum(&table, "Elapsed"), 24_184_750);
    assert_eq!(sum(&table, "NNodes"), 11_718);
    assert_eq!(seconds(&table, "Start"), 17_358_796_436_559);
    // `CANCELLED by 423120` is a state and a user: nothing of the second stays in the first.
    assert_eq!(count(&table, "State", "CANCELLED"), 468);
    assert_eq!(11_704 - nulls(&table, "CancelledBy"), 468);
    let states = ["COMPLETED", "FAILED", "CANCELLED", "PREEMPTED", "TIMEOUT"];
    assert_eq!(states.map(|state| count(&table, "State", state)), [10_134, 1_007, 468, 86, 9]);
    assert_eq!(nulls(&table, "Timelimit"), 58, "Partition_Limit");
    assert_eq!(nulls(&table, "NodeList"), 419, "None assigned");
    assert_eq!(count(&table, "ReqMemPer", "node"), 11_704);
    let first = table.slice(0, 1);
    assert_eq!(sum(&first, "Elapsed"), 7 * 86_400 + 20 * 3_600 + 39 * 60 + 39);
    assert_eq!(sum(&first, "ReqMem"), 48_000 << 20);
    assert_eq!(sum(&first, "Timelimit"), 125 * 86_400);
    assert_eq!(sum(&table, "ExitCode"), 1_011 + 4 * 2 + 29);
}

#[test]
fn a_second_dump_has_lists_of_hosts() {
    let Some((done, table)) = dump("slurm/phillips.log") else { return };
    assert_eq!(done.counts, Counts { rows: 4_285, rejected: 0, left_out: 0 });
    assert_eq!(sum(&table, "Elapsed"), 1_579_753);
    assert_eq!(sum(&table, "ReqMem"), 9_101_048_883_224 << 20);
    assert_eq!(seconds(&table, "Start"), 6_355_419_045_218);
    assert_eq!(distinct(&table, "User"), 4);
    let lists = table.column_by_name("NodeList").unwrap().as_list::<i32>();
    assert_eq!(lists.null_count(), 239);
    let hosts = |row: usize| -> Vec<String> {
        lists.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    };
    assert_eq!(
        hosts(1),
        [
            "cpn-f13-03-01",
            "cpn-f13-03-02",
            "cpn-f13-04-01",
            "cpn-f13-04-02",
            "cpn-f13-05-01",
            "cpn-f13-05-02",
            "cpn-f13-06-01",
            "cpn-f13-06-02"
        ]
    );
    // As many hosts as nodes were asked for, wherever any were given.
    let nodes = table.column_by_name("NNodes").unwrap().as_primitive::<Int64Type>();
    for row in (0..table.num_rows()).filter(|row| lists.is_valid(*row)) {
        assert_eq!(i64::try_from(hosts(row).len()).unwrap(), nodes.value(row), "row {row}");
    }
}

#[test]
fn a_fixture_with_a_header_and_steps_is_folded() {
    let fixture = "slurm/fixtures/slurm/sacct_parsable2.txt";
    let Some(input) = data(fixture) else { return };
    let options = Options { steps: Steps::Fold, ..Options::default() };
    let (done, table) = ingest("slurm", input.clone(), options);
    assert_eq!(done.counts, Counts { rows: 7, rejected: 0, left_out: 1 });
    let users = ["alice", "bob", "carol", "dave", "eve", "frank", "grace"];
    assert_eq!(texts(&table, "User"), users);
    let times = table.column_by_name("TotalCPU").unwrap().as_primitive::<Float64Type>();
    let expected = [8_062.0, 298.0, 95_400.0, 5_335.0, 3_585.0, 28.0];
    assert_eq!(times.iter().flatten().collect::<Vec<_>>(), expected);
    assert!(times.is_null(6), "INVALID");
    assert_eq!(sum(&table.slice(6, 1), "ReqMem"), 2 << 30);
    assert_eq!(texts(&table, "ReqMemPer"), ["cpu"]);
    assert_eq!(sum(&table.slice(0, 1), "MaxRSS"), 45_231_600 << 10);
    let (done, _) = ingest("slurm", input, Options::default());
    assert_eq!(done.counts, Counts { rows: 8, rejected: 0, left_out: 0 });
}

#[test]
fn plain_delimited_text_gets_its_types() {
    let Some(input) = data("slurm/sample_eagle_data.csv") else { return };
    let (done, table) = ingest("csv", input, Options::default());
    assert_eq!(done.counts, Counts { rows: 1_000, rejected: 0, left_out: 0 });
    let types: Vec<String> =
        table.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    let (text, time) = ("Utf8", "Timestamp(µs, \"UTC\")");
    let expected = [
        "Int64", text, text, text, text, "Float64", "Int64", "Int64", "Int64", "Float64", time,
        time, time, "Float64", text, text, text, text,
    ];
    assert_eq!(types, expected);
    assert_eq!(distinct(&table, "user"), 15);
    assert_eq!(distinct(&table, "work_dir"), 209);
    assert_eq!(sum(&table, "nodes_req"), 15_644);
    let times = table.column_by_name("run_time").unwrap().as_primitive::<Float64Type>();
    assert_eq!(compute::sum(times), Some(9_871_709.0));
}

/// How many files the manifest of a folder says are finished.
fn finished(out: &Path) -> usize {
    let manifest: Option<serde_json::Value> = std::fs::read(out.join("ingest.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let inputs = manifest.as_ref().and_then(|manifest| manifest["inputs"].as_array().cloned());
    let parts = |input: &serde_json::Value| input["parts"].as_array().map_or(0, Vec::len);
    inputs.unwrap_or_default().iter().map(parts).sum()
}

/// The rows of a folder, file by file in their order.
fn rows(out: &Path) -> RecordBatch {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    let batches = files.iter().flat_map(|file| {
        let file = std::fs::File::open(file).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap)
    });
    let batches: Vec<RecordBatch> = batches.collect();
    compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Whether a run and the one that goes on from it were both killed amid their work, or one came to its end before.
fn killed_twice(out: &Path, begin: impl Fn(&Path) -> Child) -> bool {
    let mut done = 0;
    for _ in 0..2 {
        let (mut child, started) = (begin(out), Instant::now());
        // A few of its hundred and fifty files are finished, then it is gone in the midst of another.
        while finished(out) < done + 3 {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return false;
            }
            assert!(started.elapsed() < Duration::from_secs(300), "nothing is finished");
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL: nothing of it runs any more.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        let now = finished(out);
        assert!(now > done, "{now}");
        if status.success() || now >= 150 {
            return false;
        }
        done = now;
    }
    true
}

// INVARIANT: a process that is killed amid its work leaves what the next one goes on from.
#[test]
fn a_process_that_is_killed_twice_leaves_the_rows_of_an_unbroken_run() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("jobs.txt");
    let mut text = "JobID|User|Elapsed|State|JobName\n".to_owned();
    for job in 0..150_000 {
        let elapsed = if job % 1_000 == 7 { "soon" } else { "01:02:03" };
        text.push_str(&format!("{job}|user{}|{elapsed}|COMPLETED|name {}\n", job % 97, job * 31));
    }
    std::fs::write(&input, text).unwrap();
    let begin = |out: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veilflight"));
        command.args(["ingest", "slurm"]).arg(&input).arg("--out").arg(out);
        command.args(["--rows-per-group", "500", "--rows-per-file", "1000", "--threads", "2"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (broken, whole) = (folder.path().join("broken"), folder.path().join("whole"));
    // Where this test is not given a moment's time, the process may be at its end before it is killed: then anew.
    let killed = (0..20).any(|_| {
        let _ = std::fs::remove_dir_all(&broken);
        killed_twice(&broken, begin)
    });
    assert!(killed, "it always came to its end");
    let told = |out: &Path| {
        let done = begin(out).wait_with_output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let (again, once) = (told(&broken), told(&whole));
    assert!(again.contains("were there from the run that was stopped"), "{again}");
    assert!(!once.contains("were there"), "{once}");
    let counted = "records read 150000 = rows 149850 + rejects 150 + steps 0";
    assert!(again.contains(counted) && once.contains(counted), "{again}{once}");
    assert_eq!(rows(&broken), rows(&whole));
    let rejects = |out: &Path| std::fs::read(out.join("rejects.csv")).unwrap();
    assert!(rejects(&broken) == rejects(&whole));
    // What was half done when it was killed is not left behind.
    let names = |out: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(out).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(&broken), names(&whole));
}
