//! The edge cases of the scripts that this replaces, in one small table from text to files: a byte-order mark
//! and CRLF before a quoted header, `NULL` as a name, padded names, equal handles at two institutes, no
//! address, commas in an environment, a user named `run`. Each of them once let a name out, or lost one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use tempfile::TempDir;
use veilflight::cli::{self, Exit};

/// What `sacct` users and Windows editors make of a table. One row is too short to be one.
const TABLE: &str = "\u{feff}\"User\",Group,ClientIp,Site,Cmd,Environment\r\n\
ada@fnal.gov,physics,131.225.10.7,FermiGrid,/home/ada/run.sh --to ada@cern.ch,\"EXPERIMENT=gm2 RFCLNAME=\"\"a.fcl,b.fcl\"\" GRID_USER=ada\"\r\n\
ada@cern.ch,physics,,fermigrid,/home/ada/x,\"HOME=/home/ada;RFCLNAME=a.fcl,b.fcl;TOKEN=hush\"\r\n\
run@fnal.gov,NULL,10.0.0.1,BNL,run.sh run,GRID_USER=run\r\n\
NULL,physics,not-an-address,  BNL ,a.sh,\"A=1,TOKEN=hush\"\r\n\
\" jsmith \",\"chem, bio\",256.0.0.1,O'Neill,/home/jsmith/job.sh,USER=jsmith\r\n\
jsmith,chem,10.0.0.2,,echo,None\r\n\
,chem,10.0.0.2,BNL,echo,\r\n\
too,short\r\n";

const POLICY: &str = "\
version: 1
dataset: jobs
source: {parquet: '../in/*.parquet'}
unit: User
columns:
  User: {class: identifier, pseudonym: {method: token, prefix: user_, width: 4}}
  Group: {class: identifier, pseudonym: {method: token, style: letters, prefix: group_}}
  ClientIp: {class: identifier, ip: crypto_pan}
  Site: {class: quasi, keep}
  Cmd: {class: text, scrub: {learn_from: [User, Group, ClientIp]}}
  Environment:
    class: text
    scrub:
      format: environment
      only_keys: [EXPERIMENT, GRID_USER, HOME, RFCLNAME, USER, A]
      learn_from: [User, Group, ClientIp]
grants:
  - {partner: cern, access: rows}
";

struct Centre(TempDir);

impl Centre {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/jobs.yaml"), POLICY).unwrap();
        let centre = Self(folder);
        centre.done(&["key", "init"]);
        centre
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, words: &[&str]) -> (Exit, String, String) {
        let mut all = vec![OsString::from("veilflight")];
        all.extend(words.iter().map(OsString::from));
        if !["ingest", "policy"].contains(&words[0]) {
            all.extend(["--state".into(), self.path("state").into()]);
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = cli::run(all, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (exit, text(out), text(err))
    }

    fn done(&self, words: &[&str]) -> String {
        let (exit, out, err) = self.call(words);
        assert_eq!(exit, Exit::Done, "{words:?}: {out}{err}");
        out
    }

    fn ingest(&self, name: &str, text: &str) {
        let input = self.path(name);
        std::fs::write(&input, text).unwrap();
        let out = self.path("in");
        self.done(&["ingest", "csv", input.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    }

    /// The released rows, each a map of texts.
    fn released(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let (policies, out) = (self.path("policies"), self.path(name));
        let (policies, out) = (policies.to_str().unwrap(), out.to_str().unwrap());
        let words = ["export", "jobs", "--partner", "cern", "--to", "jsonl", "--out", out];
        self.done(&[&words[..], &["--policies", policies]].concat());
        let text = std::fs::read_to_string(out).unwrap();
        let row = |line: &str| {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(line).unwrap();
            let told = |value: serde_json::Value| match value {
                serde_json::Value::Null => "(null)".to_owned(),
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            object.into_iter().map(|(name, value)| (name, told(value))).collect()
        };
        text.lines().map(row).collect()
    }
}

fn column(rows: &[BTreeMap<String, String>], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].clone()).collect()
}

#[test]
fn what_the_old_scripts_let_out_or_lost_is_neither() {
    let centre = Centre::new();
    centre.ingest("jobs.csv", TABLE);
    // Marks, CRLF and quotes hide no column: every one is found, and its rule with it.
    let policies = centre.path("policies");
    centre.done(&["policy", "check", policies.to_str().unwrap(), "--data"]);
    let rejects = std::fs::read_to_string(centre.path("in/rejects.csv")).unwrap();
    assert!(rejects.contains("too,short"), "{rejects}");
    let rows = centre.released("jobs.jsonl");
    assert_eq!(rows.len(), 7);

    // Every name is a name of its own: `NULL`, and one with blanks around it; no name is no name.
    let users = column(&rows, "User");
    let mut distinct: Vec<&String> = users[..6].iter().collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 6, "{users:?}");
    assert!(users[..6].iter().all(|user| user.starts_with("user_000")), "{users:?}");
    assert_eq!(users[6], "(null)");
    let groups = column(&rows, "Group");
    assert!(groups.iter().all(|group| group.starts_with("group_")), "{groups:?}");
    assert_eq!((&groups[0], &groups[5]), (&groups[1], &groups[6]));
    assert_ne!(groups[4], groups[5]);

    // What is no address is none, and is never passed through.
    let addresses = column(&rows, "ClientIp");
    assert_eq!(addresses[1..5], ["(null)", &addresses[2], "(null)", "(null)"]);
    assert_eq!(addresses[5], addresses[6]);
    assert!(addresses[0].parse::<std::net::Ipv4Addr>().is_ok());

    // Commas break no environment, and hide no key that must stay behind.
    let environments = column(&rows, "Environment");
    assert!(environments[0].contains("RFCLNAME=\"a.fcl,b.fcl\""), "{environments:?}");
    assert!(environments[1].contains("RFCLNAME=a.fcl,b.fcl"), "{environments:?}");
    assert_eq!(environments[3], "A=1,");
    // A user named `run`: safe before beautiful, and the same in every column.
    let commands = column(&rows, "Cmd");
    let run = environments[2].strip_prefix("GRID_USER=").unwrap();
    assert_eq!(commands[2], format!("{run}.sh {run}"));
    // A handle that two institutes have stands for neither; the whole address for the one it is.
    assert!(commands[0].ends_with(&format!("--to {}", users[1])), "{commands:?}");
    for user in &users[..2] {
        assert!(!environments[0].contains(user.as_str()), "{environments:?}");
    }
    assert_eq!(commands[3], "a.sh");

    let all = format!("{rows:?}");
    for original in
        ["ada", "jsmith", "run.sh", "run@", "physics", "chem", "hush", "131.225", "NULL", "256.0"]
    {
        assert!(!all.contains(original), "{original}: {all}");
    }
    let file = centre.path("jobs.jsonl");
    let words = ["verify", file.to_str().unwrap(), "--policies", policies.to_str().unwrap()];
    let (exit, out, err) = centre.call(&words);
    // `None` and `NULL` say nothing by themselves; all else is looked for in every cell.
    assert_eq!(exit, Exit::Done, "{out}{err}");
}

#[test]
fn tokens_stay_in_the_next_chunk_and_a_map_is_never_written_over() {
    let centre = Centre::new();
    centre.ingest("jobs.csv", TABLE);
    let first = centre.released("first.jsonl");
    // The next chunk of the same log, with an old user and a new one before them.
    let more = "User,Group,ClientIp,Site,Cmd,Environment\nzoe@desy.de,new,,x,y,\nrun@fnal.gov,chem,,x,y,\n";
    let input = centre.path("more.csv");
    std::fs::write(&input, more).unwrap();
    let out = centre.path("in2");
    centre.done(&["ingest", "csv", input.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    for file in std::fs::read_dir(&out).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|end| end == "parquet") {
            std::fs::copy(&file, centre.path("in").join("second.parquet")).unwrap();
        }
    }
    let second = centre.released("second.jsonl");
    assert_eq!(second.len(), first.len() + 2);
    assert_eq!(column(&second, "User")[..7], column(&first, "User"));
    assert_eq!(column(&second, "User")[8], column(&first, "User")[2]);
    assert_eq!(column(&second, "User")[7], "user_0007");

    let (policies, map) = (centre.path("policies"), centre.path("mapping.txt"));
    let (policies, map) = (policies.to_str().unwrap(), map.to_str().unwrap());
    let words = ["mapping", "export", "--dataset", "jobs", "--column", "User", "--partner", "cern"];
    let more = ["--policies", policies, "--out", map, "--reason", "vault"];
    let said = centre.done(&[&words[..], &more].concat());
    assert!(!said.contains("ada") && !said.contains("jsmith"), "no name is on the screen: {said}");
    let before = std::fs::read_to_string(map).unwrap();
    assert!(before.contains(" ->  jsmith \n") && before.contains(" -> NULL\n"), "{before}");
    let (exit, _, err) = centre.call(&[&words[..], &more].concat());
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("`--overwrite` replaces it"), "{err}");
    assert_eq!(std::fs::read_to_string(map).unwrap(), before);
}
