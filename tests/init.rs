//! `policy init` on real tables and on made ones: what identifies never leaves as it is, whatever its
//! column is called; every proposal passes `policy check --data`. Does not judge how good the rules
//! are for a study beyond counting the columns that are dropped without need.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;
use veilflight::cli::{Exit, run};

use crate::shared::shared;

/// Runs the program.
fn veilflight(words: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = std::iter::once("veilflight").chain(words.iter().copied()).map(OsString::from);
    let exit = run(words, &mut out, &mut err);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Proposes a policy in a folder, checks it against the data, and gives the classification.
fn proposed(folder: &Path, data: &str) -> Value {
    let file = folder.join("policy.yaml").display().to_string();
    let (exit, out, err) = veilflight(&[
        "policy",
        "init",
        data,
        "--out",
        &file,
        "--force",
        "--json",
        "--partner",
        "cern",
    ]);
    assert_eq!(exit, Exit::Done, "{data}: {err}");
    let (exit, checked, _) = veilflight(&["policy", "check", "--data", &file]);
    assert_eq!(exit, Exit::Done, "{data}: {checked}\n{}", std::fs::read_to_string(&file).unwrap());
    // What is warned of is what the proposal's head announces.
    for line in checked.lines().filter(|line| line.starts_with("warning[")) {
        assert!(
            line.starts_with("warning[P105]") || line.starts_with("warning[P108]"),
            "{data}: {line}"
        );
    }
    serde_json::from_str(&out).unwrap()
}

/// Each column with its rule, as the policy writes it.
fn rules(proposed: &Value) -> Vec<(String, String)> {
    let columns = proposed["columns"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    columns.iter().map(|column| (text(&column["name"]), text(&column["rule"]))).collect()
}

/// Whether a rule hides the whole value: nothing of it leaves.
fn hides(rule: &str) -> bool {
    rule == "drop"
        || [", drop}", "{pseudonym:", ", pseudonym:", ", ip:", ", null}"]
            .iter()
            .any(|part| rule.contains(part))
}

/// What is expected of a table: columns that must be hidden whole, and columns that a study wants.
struct Expected {
    hidden: &'static str,
    wanted: &'static str,
}

/// Checks one table; gives how many of the wanted columns leave, and how many there are.
fn check(name: &str, proposed: &Value, expected: &Expected) -> (usize, usize) {
    let rules = rules(proposed);
    let rule = |column: &str| {
        let found = rules.iter().find(|(name, _)| name.trim() == column);
        found.map(|(_, rule)| rule.clone()).unwrap_or_else(|| panic!("{name} has no `{column}`"))
    };
    for column in expected.hidden.split_whitespace() {
        assert!(hides(&rule(column)), "{name}: `{column}` would leave: {}", rule(column));
    }
    let wanted: Vec<&str> = expected.wanted.split_whitespace().collect();
    let lost: Vec<&str> =
        wanted.iter().copied().filter(|column| rule(column).contains("drop")).collect();
    println!(
        "{name}: {} columns, {} must be hidden and are, {} of {} wanted ones leave{}",
        rules.len(),
        expected.hidden.split_whitespace().count(),
        wanted.len() - lost.len(),
        wanted.len(),
        if lost.is_empty() { String::new() } else { format!(", not {}", lost.join(", ")) }
    );
    (wanted.len() - lost.len(), wanted.len())
}

const SACCT: Expected = Expected {
    hidden: "jobid jobidraw account group gid user uid nodelist jobname",
    wanted: "cluster partition qos submit eligible start end elapsed exitcode state nnodes ncpus reqcpus reqmem \
             reqtres alloctres timelimit",
};

#[test]
fn nothing_that_identifies_in_real_tables_leaves_as_it_is() {
    let Some(shared) = shared("data") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut leave, mut all) = (0, 0);
    let mut look = |name: &str, data: &Path, expected: &Expected| {
        let proposed = proposed(folder.path(), &data.display().to_string());
        let (one, of) = check(name, &proposed, expected);
        (leave, all) = (leave + one, all + of);
        proposed
    };
    for name in ["pozidriv", "phillips"] {
        // The dumps have no header.
        let dump = std::fs::read_to_string(shared.join(format!("slurm/{name}.log"))).unwrap();
        let header = "jobid|jobidraw|cluster|partition|qos|account|group|gid|user|uid|submit|eligible|start|end|\
                      elapsed|exitcode|state|nnodes|ncpus|reqcpus|reqmem|reqtres|alloctres|timelimit|nodelist|jobname";
        let data = folder.path().join(format!("{name}.txt"));
        std::fs::write(&data, format!("{header}\n{dump}")).unwrap();
        let proposed = look(name, &data, &SACCT);
        // The uid behind `CANCELLED by` is pointed out, and the accounts that are groups.
        let links = proposed["links"].as_array().unwrap();
        let linked = |of: &str, within: &str| {
            links.iter().any(|link| link["of"] == of && link["within"] == within)
        };
        assert!(linked("uid", "state") && linked("group", "account"), "{links:?}");
        let state = rules(&proposed).into_iter().find(|(name, _)| name == "state").unwrap().1;
        assert!(state.contains("by [0-9]+"), "{state}");
        assert_eq!(proposed["unit"], "user");
    }
    look(
        "eagle",
        &shared.join("slurm/sample_eagle_data.csv"),
        &Expected {
            hidden: "job_id user account name work_dir submit_line",
            wanted: "partition qos wallclock_req nodes_req processors_req gpus_req mem_req submit_time start_time \
                     end_time run_time state",
        },
    );
    look(
        "sacct fixture",
        &shared.join("slurm/fixtures/slurm/sacct_parsable2.txt"),
        &Expected {
            hidden: "User Group Account JobID JobName NodeList Reservation",
            wanted: "ReqCPUS ReqMem NNodes Submit Start End ExitCode State MaxRSS TotalCPU Elapsed AllocCPUS Partition \
                     QOS AllocTRES",
        },
    );
    look(
        "condor fixture",
        &shared.join("slurm/fixtures/htcondor/condor_history.txt"),
        &Expected {
            hidden: "Owner AcctGroup AccountingGroup ClusterId LastRemoteHost",
            wanted: "JobStatus RequestCpus RequestMemory NumJobStarts QDate ExitCode MemoryUsage RemoteSysCpu \
                     RemoteUserCpu RemoteWallClockTime",
        },
    );
    look(
        "adult",
        &shared.join("adult/adult.csv"),
        &Expected {
            hidden: "",
            wanted: "sex age race marital-status education native-country workclass occupation salary-class",
        },
    );
    look(
        "persons",
        &shared.join("persons/dataset4a.csv"),
        &Expected {
            hidden: "rec_id given_name surname street_number address_1 address_2 soc_sec_id",
            wanted: "postcode state date_of_birth",
        },
    );
    look(
        "nafld2",
        &shared.join("parquet/survival_nafld2.parquet"),
        &Expected { hidden: "rownames id", wanted: "days test value" },
    );
    look(
        "stops",
        &shared.join("parquet/carData_MplsStops.parquet"),
        &Expected {
            hidden: "rownames idNum",
            wanted: "date problem MDC citationIssued personSearch vehicleSearch preRace race gender lat long \
                     policePrecinct neighborhood",
        },
    );
    println!("{leave} of {all} wanted columns leave");
    assert!(leave * 10 >= all * 9, "more than a tenth of what studies want is dropped");
}

#[test]
fn what_ingest_writes_is_looked_at_like_any_table() {
    let Some(shared) = shared("data") else { return };
    let fields = "jobid,jobidraw,cluster,partition,qos,account,group,gid,user,uid,submit,eligible,\
                  start,end,elapsed,exitcode,state,nnodes,ncpus,reqcpus,reqmem,reqtres,alloctres,\
                  timelimit,nodelist,jobname";
    let sacct: &[&str] = &["--fields", fields];
    for (format, file, more, hidden) in [
        (
            "slurm",
            "slurm/pozidriv.log",
            sacct,
            "JobID JobIDRaw Account Group GID User UID NodeList JobName",
        ),
        (
            "slurm",
            "slurm/phillips.log",
            sacct,
            "JobID JobIDRaw Account Group GID User UID NodeList JobName",
        ),
        (
            "slurm",
            "slurm/fixtures/slurm/sacct_parsable2.txt",
            &[],
            "User Group Account JobID JobName NodeList",
        ),
        (
            "condor",
            "slurm/fixtures/htcondor/condor_history.txt",
            &[],
            "Owner AcctGroup AccountingGroup ClusterId LastRemoteHost",
        ),
        (
            "uge",
            "slurm/fixtures/uge/qacct.txt",
            &[],
            "owner group project hostname jobname jobnumber",
        ),
        ("pbs", "slurm/fixtures/pbs/20240115", &[], "user group project jobname exec_host"),
    ] {
        for normalize in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("data").display().to_string();
            let input = shared.join(file).display().to_string();
            let mut words = vec!["ingest", format, &input, "--out", &out];
            words.extend(more);
            words.extend(normalize.then_some("--normalize"));
            let (exit, _, err) = veilflight(&words);
            assert_eq!(exit, Exit::Done, "{file}: {err}");
            let proposed = proposed(folder.path(), &out);
            if !normalize {
                let expected = Expected { hidden, wanted: "" };
                check(file, &proposed, &expected);
                continue;
            }
            // The names that all schedulers share.
            const SHARED: [&str; 14] = [
                "job_id",
                "task_id",
                "job_name",
                "user",
                "uid",
                "group",
                "gid",
                "account",
                "project",
                "nodes",
                "submit_host",
                "command",
                "work_dir",
                "job_id_raw",
            ];
            for (name, rule) in rules(&proposed) {
                let number = name == "task_id" && rule.contains("keep");
                assert!(
                    !SHARED.contains(&name.as_str()) || hides(&rule) || number,
                    "{file}: {name}: {rule}"
                );
            }
        }
    }
}

/// A person of the pool.
fn person(row: usize) -> (&'static str, &'static str, &'static str) {
    [
        ("abyron", "Ada Byron", "131.225.10.7"),
        ("cbabbage", "Charles Babbage", "131.225.10.9"),
        ("ghopper", "Grace Hopper", "188.184.1.20"),
        ("kgoedel", "Kurt Goedel", "188.184.7.77"),
        ("enoether", "Emmy Noether", "2001:db8:77::5"),
    ][row * 7 % 5]
}

/// The text attributes of one job ad, as an HTCondor pool behind a portal writes them.
fn texts(row: usize) -> Vec<(&'static str, String)> {
    let (handle, name, ip) = person(row);
    let group = ["dune", "nova"][row % 2];
    let id = 60_000_000 + row;
    let host = format!("fnpc{:03}.fnal.gov", row % 13);
    let subject = format!(
        "/DC=org/DC=cilogon/C=US/O=Fermi National Accelerator Laboratory/CN={name}/CN=UID:{handle}"
    );
    let path = format!("/fife/local/scratch/uploads/{group}/{handle}/2026-01-05_{row}");
    vec![
        ("User", format!("{handle}@fnal.gov")),
        ("Owner", handle.to_owned()),
        ("AccountingGroup", format!("group_{group}.prod.{handle}")),
        ("AcctGroupUser", handle.to_owned()),
        ("JobsubClientDN", subject.clone()),
        ("JobsubClientIpAddress", ip.to_owned()),
        ("x509userproxysubject", subject.clone()),
        ("x509UserProxyFirstFQAN", format!("/{group}/Role=Analysis/Capability=NULL")),
        ("x509UserProxyFQAN", format!("{subject},/{group}/Role=Analysis")),
        (
            "x509userproxy",
            format!("/var/lib/jobsub/creds/proxies/{group}/x509cc_{handle}_Analysis"),
        ),
        ("x509UserProxyEmail", format!("{handle}@fnal.gov")),
        ("NotifyUser", format!("{handle}@fnal.gov")),
        ("Cmd", format!("{path}/run_{}.sh", row % 3)),
        ("Args", format!("--user {handle} --input root://fndca1.fnal.gov/{handle}/a_{row}.root")),
        ("Iwd", path.clone()),
        ("SUBMIT_Iwd", path.clone()),
        ("SUBMIT_Cmd", format!("{path}/run.sh")),
        ("SUBMIT_UserLog", format!("{path}/log.{row}")),
        ("UserLog", format!("{path}/log.{row}")),
        ("Out", format!("{path}/out.{row}")),
        ("Err", format!("err_{handle}.{row}")),
        ("In", "/dev/null".to_owned()),
        ("TransferInput", format!("{path}/a.tar,{path}/b.fcl,c_{handle}.fcl")),
        ("TransferOutput", format!("{handle}_{row}.root")),
        ("AuthTokenSubject", format!("{handle}@fnal.gov")),
        ("AuthTokenIssuer", "https://cilogon.org/fermilab".to_owned()),
        ("POMS_LAUNCHER", handle.to_owned()),
        ("POMS4_CAMPAIGN_NAME", format!("{handle}_mc_{}", row % 9)),
        ("LastPublicClaimId", format!("<{ip}:9618?addrs={ip}-9618>#1704067200#{row}#...")),
        ("StartdPrincipal", format!("execute-side@matchsession/{ip}")),
        ("StartdIpAddr", format!("<{ip}:9618?addrs={ip}-9618&alias={host}>")),
        ("LastRemoteHost", format!("slot1_{row}@{host}")),
        ("GlobalJobId", format!("jobsub05.fnal.gov#{id}.0#1704067200")),
        ("JobsubJobId", format!("{id}.0@jobsub05.fnal.gov")),
        ("JobBatchName", format!("{handle} nightly")),
        (
            "Environment",
            format!(
                "EXPERIMENT={group} GRID_USER={handle} RFCLNAME=a.fcl,b.fcl HOME=/home/{handle}"
            ),
        ),
        (
            "HoldReason",
            format!(
                "Error from {host}: failed to open /pnfs/{group}/{handle}/x: permission denied"
            ),
        ),
        ("Requirements", format!("(TARGET.Owner =?= \"{handle}\") && (Memory >= 2000)")),
        ("DAGNodeName", format!("{handle}_stage_{row}")),
        ("RemoveReason", format!("via condor_rm (by user {handle})")),
        ("LastRejMatchReason", format!("no match found for {handle}")),
        ("x1", format!("{handle}@cern.ch")),
        ("x2", format!("{group}.{handle}")),
        ("x3", handle.to_owned()),
        ("MATCH_EXP_JOB_Site", ["FermiGrid", "CERN", "Manchester"][row % 3].to_owned()),
        ("Experiment", group.to_owned()),
        ("Arch", "X86_64".to_owned()),
    ]
}

/// The numbers of one job ad.
fn numbers(row: i64) -> Vec<(&'static str, i64)> {
    let begun = 1_704_067_200 + row * 977;
    vec![
        ("ClusterId", 60_000_000 + row),
        ("ProcId", row % 10),
        ("QDate", begun),
        ("JobStartDate", begun + 60),
        ("CompletionDate", if row % 10 == 0 { 0 } else { begun + 4000 }),
        ("EnteredCurrentStatus", begun + 4000),
        ("JobStatus", [4, 4, 4, 3, 5][usize::try_from(row % 5).unwrap()]),
        ("ExitCode", row % 3),
        ("RequestMemory", 2000 * (1 + row % 3)),
        ("RequestCpus", 1 + row % 4),
        ("RequestDisk", 1_000_000 * (1 + row % 7)),
        ("ImageSize_RAW", 1000 + row * 37 % 1000),
        ("CumulativeSlotTime", row * 31 % 5000),
        ("RemoteUserCpu", row * 29 % 4000),
        ("RemoteSysCpu", row * 7 % 300),
        ("NumJobStarts", 1 + row % 2),
        ("NumJobCompletions", row % 2),
        ("DAG_NodesFailed", 0),
        ("x7", 423_120 + row % 5),
    ]
}

/// A history of so many jobs, as parquet.
fn history(path: &Path, rows: usize) {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (at, (name, _)) in texts(0).into_iter().enumerate() {
        let values: StringArray = (0..rows).map(|row| Some(texts(row)[at].1.clone())).collect();
        columns.push((name, Arc::new(values)));
    }
    for (at, (name, _)) in numbers(0).into_iter().enumerate() {
        let values: Int64Array =
            (0..rows).map(|row| Some(numbers(i64::try_from(row).unwrap())[at].1)).collect();
        columns.push((name, Arc::new(values)));
    }
    write(path, columns);
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn every_attribute_of_a_job_ad_that_leaks_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("history.parquet");
    history(&data, 500);
    let proposed = proposed(folder.path(), &data.display().to_string());
    check(
        "job ad",
        &proposed,
        &Expected {
            hidden: "User Owner AccountingGroup AcctGroupUser JobsubClientDN JobsubClientIpAddress \
                     x509userproxysubject x509UserProxyFQAN x509userproxy x509UserProxyEmail NotifyUser Cmd Args Iwd \
                     SUBMIT_Iwd SUBMIT_Cmd SUBMIT_UserLog UserLog Out Err TransferInput TransferOutput AuthTokenSubject \
                     POMS_LAUNCHER POMS4_CAMPAIGN_NAME LastPublicClaimId StartdPrincipal StartdIpAddr LastRemoteHost \
                     GlobalJobId JobsubJobId JobBatchName Environment HoldReason Requirements DAGNodeName RemoveReason \
                     LastRejMatchReason x1 x2 x3 x7 ClusterId",
            wanted: "MATCH_EXP_JOB_Site Experiment QDate JobStartDate CompletionDate EnteredCurrentStatus JobStatus \
                     ExitCode RequestMemory RequestCpus RequestDisk ImageSize_RAW CumulativeSlotTime RemoteUserCpu \
                     RemoteSysCpu NumJobStarts NumJobCompletions DAG_NodesFailed ProcId",
        },
    );
    // The same without a list: no raw value of a column that is not hidden holds a handle, a name, an address.
    for (name, rule) in rules(&proposed) {
        if hides(&rule) {
            continue;
        }
        for row in 0..500 {
            let Some((_, value)) = texts(row).into_iter().find(|(column, _)| *column == name)
            else {
                continue;
            };
            let (handle, person, ip) = person(row);
            for secret in [handle, person, ip] {
                assert!(!value.contains(secret), "`{name}` holds an identifier and leaves: {rule}");
            }
        }
    }
    // Where the values are found is pointed out, and no value is.
    let (exit, out, err) = veilflight(&["policy", "init", &data.display().to_string()]);
    assert_eq!(exit, Exit::Done);
    assert!(err.contains("columns that hold values of others"), "{err}");
    for column in
        ["Cmd", "Environment", "SUBMIT_Iwd", "TransferInput", "RemoveReason", "AccountingGroup"]
    {
        let held = |line: &str| {
            line.trim().starts_with(&format!("`{column}`"))
                && ["`User`", "`Owner`", "`NotifyUser`"].iter().any(|user| line.contains(user))
        };
        assert!(err.lines().any(held), "{column}: {err}");
    }
    for text in [out, err] {
        for row in 0..5 {
            let (handle, name, ip) = person(row);
            for secret in [handle, name, ip, "423120", "60000003"] {
                assert!(!text.contains(secret), "`{secret}` is a value, and was written");
            }
        }
    }
}

#[test]
fn names_hide_nothing_and_constants_nulls_and_odd_names_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("odd.parquet");
    let text = |value: &dyn Fn(usize) -> Option<String>| -> ArrayRef {
        Arc::new((0..200).map(value).collect::<StringArray>())
    };
    let mail = |row: usize| Some(format!("p{}@example.org", row % 17));
    write(
        &data,
        vec![
            ("x1", text(&mail)),
            ("elapsed", text(&mail)),
            ("say \"cheese\"", text(&mail)),
            ("# keep", text(&mail)),
            ("two\nlines: keep", text(&mail)),
            ("ключ 🗝", text(&mail)),
            (" ", text(&mail)),
            ("constant", text(&|_| Some("same".to_owned()))),
            ("nothing", text(&|_| None)),
            ("partition", text(&|row| Some(["short", "long"][row % 2].to_owned()))),
        ],
    );
    let proposed = proposed(folder.path(), &data.display().to_string());
    for (name, rule) in rules(&proposed) {
        assert!(hides(&rule) || name == "partition", "{name}: {rule}");
    }
}

#[test]
fn a_table_of_two_thousand_columns_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("wide.parquet");
    let values: ArrayRef =
        Arc::new((0..50).map(|row| Some(format!("/home/u{row}/x"))).collect::<StringArray>());
    let names: Vec<String> = (0..2000).map(|at| format!("column {at}")).collect();
    write(&data, names.iter().map(|name| (name.as_str(), Arc::clone(&values))).collect());
    let proposed = proposed(folder.path(), &data.display().to_string());
    let rules = rules(&proposed);
    assert_eq!(rules.len(), 2000);
    assert!(rules.iter().all(|(_, rule)| hides(rule)));
}

/// A folder with a small table.
fn small() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let data = folder.path().join("data/Jobs 2026.parquet");
    let users: ArrayRef =
        Arc::new((0..20).map(|row| Some(format!("u{}", row % 3))).collect::<StringArray>());
    write(&data, vec![("User", users)]);
    let data = data.display().to_string();
    (folder, data)
}

#[test]
fn a_file_is_never_overwritten_unless_told() {
    let (folder, data) = small();
    let out = folder.path().join("policy.yaml").display().to_string();
    std::fs::write(&out, "precious").unwrap();
    let (exit, _, err) = veilflight(&["policy", "init", &data, "--out", &out]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("--force"), "{err}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    let (exit, printed, err) = veilflight(&["policy", "init", &data, "--out", &out, "--force"]);
    assert_eq!((exit, printed.as_str()), (Exit::Done, ""), "{err}");
    let written = std::fs::read_to_string(&out).unwrap();
    // The way to the data starts from the policy's folder.
    assert!(written.contains("source: {parquet: \"data/Jobs 2026.parquet\"}"), "{written}");
    assert!(written.contains("dataset: jobs_2026\n"), "{written}");
}

#[test]
fn globs_and_folders_are_taken_and_printed_policies_name_whole_paths() {
    let (folder, _) = small();
    for data in ["data", "data/*.parquet"] {
        let data = folder.path().join(data).display().to_string();
        let (exit, out, err) = veilflight(&["policy", "init", &data]);
        assert_eq!(exit, Exit::Done, "{err}");
        let file = folder.path().join("elsewhere.yaml");
        std::fs::write(&file, &out).unwrap();
        let (exit, checked, _) =
            veilflight(&["policy", "check", "--data", &file.display().to_string()]);
        assert_eq!(exit, Exit::Done, "{checked}");
    }
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_read() {
    let (_folder, data) = small();
    for (words, expected) in [
        (vec!["--partner", "Cern"], "partner"),
        (vec!["--dataset", "My Jobs"], "did you mean `my_jobs`?"),
        (vec!["--sample", "0"], "--sample"),
        (vec!["--force"], "--out"),
    ] {
        let call: Vec<&str> = ["policy", "init", &data].into_iter().chain(words).collect();
        let (exit, out, err) = veilflight(&call);
        assert_eq!((exit, out.as_str()), (Exit::Failed, ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let (exit, _, err) = veilflight(&["policy", "init", "nowhere.parquet"]);
    assert_eq!(exit, Exit::Failed);
    let mut shown = String::new();
    write!(shown, "{err}").unwrap();
    assert!(shown.contains("no file at"), "{shown}");
}
