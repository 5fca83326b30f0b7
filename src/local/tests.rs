//! Pulls and statements on this machine, and the folder of a small installation with which other rooms'
//! tests begin.

use std::path::PathBuf;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;
use crate::audit::show::{Filter, lines};
use crate::clock::ManualClock;
use crate::identity::enrol::{self, Enrolment};
use crate::keys::provider::{MasterKeys, create_file};

/// Who is in [`Custody::new`]'s data, row by row.
pub(crate) const USERS: [&str; 6] = ["ada", "bob", "ada", "cyd", "bob", "ada"];

/// A policy for [`Custody::new`]'s data.
const JOBS: &str = "\
version: 1
dataset: jobs
source: {parquet: 'jobs/*.parquet'}
unit: User
columns:
  Id: keep
  User: {pseudonym: {method: token, prefix: user_}}
  Secret: drop
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: aggregates, group_min: 2}
  - {partner: kek, access: rows, until: 2026-12-31}
";

/// Keys, state, policies and data of a custodian in a folder. The time is 2027-01-15 08:00 UTC.
pub(crate) struct Custody {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Custody {
    /// The dataset `jobs`: two files of two row groups, for `cern` (rows) and `desy` (aggregates).
    pub(crate) fn new() -> Self {
        let custody = Self::empty();
        for (name, rows) in [("a.parquet", 0..4), ("b.parquet", 4..6)] {
            let ids: ArrayRef =
                Arc::new(Int64Array::from_iter_values(rows.clone().map(|r| r as i64)));
            let users: ArrayRef = Arc::new(StringArray::from(USERS[rows.clone()].to_vec()));
            let secret: ArrayRef = Arc::new(StringArray::from(vec!["hush"; rows.len()]));
            let columns = [("Id", ids), ("User", users), ("Secret", secret)];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            custody.write_parquet(&format!("jobs/{name}"), &batch, 2);
        }
        custody.write_policy("jobs.yaml", JOBS);
        custody
    }

    /// No policy and no data.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "policies"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let keys = MasterKeys::generate(0).unwrap();
        create_file(&folder.path().join("state/master.key"), &keys).unwrap();
        Self { folder, clock: Arc::new(ManualClock::new(1_800_000_000_000_000)) }
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    pub(crate) fn place(&self) -> Place {
        Place { state: self.folder.path().join("state"), key: None }
    }

    pub(crate) fn write_policy(&self, name: &str, text: &str) {
        std::fs::write(self.policies().join(name), text).unwrap();
    }

    /// Writes a file below the folder of policies, in row groups of so many rows.
    pub(crate) fn write_parquet(&self, name: &str, batch: &RecordBatch, group_rows: usize) {
        let path = self.policies().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    }

    pub(crate) fn open(&self) -> Result<Local> {
        Local::open(&self.place(), &self.policies(), Arc::clone(&self.clock))
    }

    /// The audit log: method, partner, dataset or statement, shard, outcome and rows.
    pub(crate) fn told(&self) -> Vec<String> {
        let store = self.place().open(Arc::clone(&self.clock)).unwrap();
        let told = lines(&*store, &Filter::default()).unwrap();
        let one = |line: &crate::audit::show::Line| {
            let subject = &line.subject;
            let shard = subject.shard.map(|shard| format!("/{shard}")).unwrap_or_default();
            let about = subject.datasets().join("+");
            let (method, partner) = (&subject.method, &subject.partner);
            format!("{method} {partner} {about}{shard} {} {:?}", line.outcome, line.rows)
        };
        told.iter().map(one).collect()
    }
}

fn told(result: Result<Pull>) -> (Code, String) {
    let error = result.unwrap_err();
    (error.code(), error.to_string())
}

/// The rows of a pull of `jobs`.
fn rows(pull: Pull) -> Vec<(i64, String)> {
    let mut rows = Vec::new();
    for batch in pull {
        let batch = batch.unwrap();
        let (ids, users) = (batch.column(0), batch.column(1));
        let (ids, users) = (ids.as_primitive::<Int64Type>(), users.as_string::<i32>());
        rows.extend((0..batch.num_rows()).map(|at| (ids.value(at), users.value(at).to_owned())));
    }
    rows
}

/// Which users these are, by the tokens that they have: tokens are numbered in an order of their own.
fn users(rows: &[(i64, String)]) -> Vec<(i64, &'static str)> {
    let name = |id: i64| USERS[usize::try_from(id).unwrap()];
    for (at, (id, token)) in rows.iter().enumerate() {
        assert!(token.starts_with("user_"), "{token}");
        for (other, other_token) in &rows[..at] {
            assert_eq!(token == other_token, name(*id) == name(*other), "{id} and {other}");
        }
    }
    rows.iter().map(|(id, _)| (*id, name(*id))).collect()
}

fn expected() -> Vec<(i64, &'static str)> {
    (0..).zip(USERS).collect()
}

#[test]
fn a_pull_gives_what_the_policy_lets_out_in_the_order_of_the_files() {
    let custody = Custody::new();
    let local = custody.open().unwrap().for_purpose(Purpose::Export);
    let pull = local.pull("cern", "jobs").unwrap();
    let names: Vec<_> = pull.schema.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["Id", "User"]);
    assert_eq!(pull.schema.field(1).metadata()["veilflight.protection"], "pseudonym.token");
    assert_eq!(pull.seen.len(), 1);
    assert_eq!(users(&rows(pull)), expected());
    // One after the other or each by itself.
    let shards = local.pull("cern", "jobs").unwrap().into_shards();
    assert_eq!(shards.len(), 3);
    let each: Vec<_> = shards.into_iter().flat_map(rows).collect();
    assert_eq!(users(&each), expected());
}

#[test]
fn a_view_is_pulled_by_its_name_as_the_grant_has_it() {
    let custody = Custody::new();
    let views = "views:\n  - {name: heads, sql: \"SELECT User, count(*) AS n FROM jobs GROUP BY User\"}\n  \
                 - {name: ids, sql: \"SELECT Id, User FROM jobs\"}\n  - {name: total, sql: \"SELECT count(*) AS n FROM \
                 jobs\"}\n";
    custody.write_policy("jobs.yaml", &JOBS.replace("grants:", &format!("{views}grants:")));
    let local = custody.open().unwrap();
    assert_eq!(users(&rows(local.pull("cern", "ids").unwrap())), expected());
    let heads = local.pull("cern", "heads").unwrap();
    assert_eq!(heads.seen.len(), 1);
    assert_eq!(heads.schema, local.promised("cern", "heads").unwrap().0);
    assert_eq!(heads.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
    let count = |partner, name| local.count(partner, name).unwrap();
    assert_eq!([count("cern", "jobs"), count("cern", "ids"), count("cern", "heads")], [6, 6, 3]);
    // Who has aggregates gets the view that is one.
    assert_eq!(count("desy", "total"), 1);
    assert_eq!(told(local.pull("desy", "ids")).0, Code::AggregatesOnly);
    let (code, text) = told(local.pull("cern", "head"));
    assert_eq!(code, Code::DatasetUnknown);
    assert_eq!(text, "no policy has the dataset or view `head`; did you mean `heads`?");
    assert!(local.raw_size("cern", "ids").unwrap().bytes > 0);
}

#[test]
fn a_statement_is_answered_as_for_the_partner() {
    let custody = Custody::new();
    let local = custody.open().unwrap();
    let sorted = local.query("cern", "SELECT * FROM jobs ORDER BY User DESC, Id").unwrap();
    let sorted = rows(sorted);
    assert_eq!(sorted.len(), USERS.len());
    assert!(sorted.is_sorted_by(|(id, user), (next, after)| (after, id) < (user, next)));
    users(&sorted);
    // What is not released is not there, and what a grant does not give is not given.
    assert_eq!(told(local.query("cern", "SELECT Secret FROM jobs")).0, Code::SqlInvalid);
    assert_eq!(told(local.query("desy", "SELECT Id FROM jobs")).0, Code::AggregatesOnly);
    assert_eq!(told(local.query("kek", "SELECT Id FROM jobs")).0, Code::DatasetUnknown);
    let counted = local.query("desy", "SELECT count(*) AS n FROM jobs").unwrap();
    let counted: Vec<_> = counted.map(|batch| batch.unwrap()).collect();
    assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), 6);
}

#[test]
fn what_is_not_granted_is_refused_and_the_custodian_is_told_why() {
    let custody = Custody::new();
    let local = custody.open().unwrap();
    let unknown = Code::DatasetUnknown;
    let (code, text) = told(local.pull("cern", "job"));
    assert_eq!(
        (code, text.as_str()),
        (unknown, "no policy has the dataset or view `job`; did you mean `jobs`?")
    );
    let (code, text) = told(local.pull("fnal", "jobs"));
    assert_eq!(code, unknown);
    assert!(text.ends_with("its policy grants cern, desy, kek"), "{text}");
    let (code, text) = told(local.pull("kek", "jobs"));
    assert_eq!(code, unknown);
    assert!(text.contains("it ended"), "{text}");
    assert_eq!(told(local.pull("desy", "jobs")).0, Code::AggregatesOnly);
    assert_eq!(told(local.pull("CERN!", "jobs")).0, Code::Usage);
    // Refused before a file was looked at: nothing stands in the log.
    assert_eq!(custody.told(), [] as [String; 0]);
}

#[test]
fn what_is_granted_with_noise_is_not_had_on_this_machine_either() {
    let custody = Custody::new();
    let noise = "  - {partner: ral, access: dp, epsilon: 1, groups_max: 1, rows_max: 1}\nviews:\n  \
                 - {name: ids, sql: SELECT Id FROM jobs}\n";
    custody.write_policy("jobs.yaml", &format!("{JOBS}{noise}"));
    let local = custody.open().unwrap();
    for name in ["jobs", "ids"] {
        let (code, text) = told(local.pull("ral", name));
        assert_eq!(code, Code::NoisyOnly);
        assert!(text.contains("differentially private answers of `jobs`"), "{text}");
        assert_eq!(local.count("ral", name).unwrap_err().code(), Code::NoisyOnly);
        assert_eq!(local.promised("ral", name).unwrap_err().code(), Code::NoisyOnly);
        assert_eq!(local.raw_size("ral", name).unwrap_err().code(), Code::NoisyOnly);
    }
    for sql in ["SELECT Id FROM jobs", "SELECT count(*) FROM JOBS", "SELECT * FROM ids"] {
        assert_eq!(told(local.query("ral", sql)).0, Code::NoisyOnly, "{sql}");
    }
    assert_eq!(custody.told(), [] as [String; 0]);
    assert_eq!(rows(local.pull("cern", "jobs").unwrap()).len(), 6);
}

#[test]
fn a_disabled_or_expired_partner_gets_nothing_by_this_way_either() {
    let custody = Custody::new();
    let store = custody.place().open_or_create(Arc::clone(&custody.clock)).unwrap();
    let cern = Enrolment { name: "cern".to_owned(), ..Enrolment::default() };
    enrol::add(&*store, &*custody.clock, cern).unwrap();
    let local = custody.open().unwrap();
    assert_eq!(rows(local.pull("cern", "jobs").unwrap()).len(), 6);
    enrol::set_disabled(&*store, "cern", true).unwrap();
    let refused = (Code::CredentialsRefused, "partner `cern` is disabled".to_owned());
    assert_eq!(told(local.pull("cern", "jobs")), refused);
    assert_eq!(told(local.query("cern", "SELECT Id FROM jobs")), refused);
}

#[test]
fn every_pull_and_every_statement_is_in_the_audit_log() {
    let custody = Custody::new();
    let local = custody.open().unwrap();
    rows(local.for_purpose(Purpose::Export).pull("cern", "jobs").unwrap());
    rows(local.query("cern", "SELECT * FROM jobs ORDER BY Id").unwrap());
    // Looked at, and not read to its end.
    drop(local.for_purpose(Purpose::Verify).pull("cern", "jobs").unwrap());
    drop(local);
    insta::assert_snapshot!(custody.told().join("\n"), @r"
    export cern jobs done Some(0)
    export cern jobs/0 done Some(2)
    export cern jobs/1 done Some(2)
    export cern jobs/2 done Some(2)
    report cern jobs done Some(0)
    report cern jobs/0 done Some(6)
    verify cern jobs done Some(0)
    ");
}

#[test]
fn a_changed_file_ends_a_pull_with_an_error_and_no_more_rows() {
    let custody = Custody::new();
    let local = custody.open().unwrap();
    let mut pull = local.pull("cern", "jobs").unwrap();
    assert!(pull.next().unwrap().is_ok());
    std::fs::write(custody.policies().join("jobs/b.parquet"), "changed").unwrap();
    let rest: Vec<_> = pull.by_ref().collect();
    assert_eq!(rest.last().unwrap().as_ref().unwrap_err().code(), Code::SourceUnreadable);
    assert!(pull.next().is_none());
}
