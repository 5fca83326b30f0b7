//! The verbs over a state, policies and keys in a folder: what is written, refused and recorded.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::audit::show::{Filter, lines};
use crate::audit::verify::verify;
use crate::cli::place::parse;
use crate::clock::ManualClock;
use crate::keys::provider::{MasterKeys, create_file};
use crate::pipeline::transform::Counted;
use crate::state::Store;

/// A folder with state, keys and a policy.
pub(in crate::cli) struct World {
    pub(in crate::cli) folder: tempfile::TempDir,
    pub(in crate::cli) store: Arc<dyn Store>,
}

const POLICY: &str = "\
version: 1
dataset: jobs
description: Jobs
source: {parquet: jobs.parquet}
columns:
  User: {pseudonym: {method: token, domain: person, prefix: user_, width: 4}}
  Owner: {pseudonym: {method: token, domain: person, prefix: user_, width: 4}}
  Group: {pseudonym: {method: token, style: letters, prefix: group_}}
  Address: {pseudonym: {method: token, prefix: IP}}
  Login: {pseudonym: {method: token, prefix: login_, normalize: [trim, case_fold]}}
  Mail: {pseudonym: {method: hmac, keep: email_domain}}
  Paper: {pseudonym: aes_siv}
  Phone: {pseudonym: {method: ff1, alphabet: digits}}
  Ip: {ip: crypto_pan}
  Net: {ip: {method: ipcrypt_pfx, v4_bits: 24}}
  Nodes: {pseudonym: hmac}
  Site: keep
nulls: token
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: rows, until: 2020-01-01}
";

/// The map of `User` and `Owner` for `cern`.
pub(in crate::cli) const USERS: &str = "domain:person|partner:cern|1";
const GROUPS: &str = "column:jobs/Group|partner:cern|1";

#[derive(Debug, clap::Args)]
struct Only {
    #[command(flatten)]
    place: Place,
}

impl World {
    pub(in crate::cli) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        fs::write(folder.path().join("policies/jobs.yaml"), POLICY).unwrap();
        create_file(&state.join("master.key"), &MasterKeys::generate(0).unwrap()).unwrap();
        let place = parse::<Only>(&["--state", state.to_str().unwrap()]).unwrap().place;
        let store = place.open_or_create(Self::clock()).unwrap();
        store.give_keys(&place.ring().unwrap());
        Self { folder, store }
    }

    pub(in crate::cli) fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::new(1_800_000_000_000_000))
    }

    pub(in crate::cli) fn place(&self) -> Place {
        let state = self.path("state");
        parse::<Only>(&["--state", &state]).unwrap().place
    }

    pub(in crate::cli) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Words of a command, with the folders beside them.
    pub(in crate::cli) fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        all.extend(["--state".to_owned(), self.path("state")]);
        all
    }

    fn call(&self, words: &[&str]) -> Result<String, String> {
        let mut out = Vec::new();
        let all = self.words(words);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        match run(parse(&all)?, Self::clock(), &mut out) {
            Ok(code) => assert_eq!(code, 0),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    /// A verb about a column, with all that is asked for.
    fn about(&self, column: &str, words: &[&str]) -> Result<String, String> {
        let policies = self.path("policies");
        let mut all = words.to_vec();
        all.extend(["--dataset", "jobs", "--column", column, "--partner", "cern"]);
        all.extend(["--policies", &policies, "--reason", "ticket 4711"]);
        self.call(&all)
    }

    /// What the audit log tells of each call: method, pseudonym, reason, outcome, originals.
    pub(in crate::cli) fn told(&self) -> Vec<(String, String, String, &'static str, Option<u64>)> {
        let report = verify(&*self.store, &self.place().ring().unwrap(), None).unwrap();
        assert!(report.is_whole());
        let lines = lines(&*self.store, &Filter::default()).unwrap();
        let told = |line: crate::audit::show::Line| {
            let deed = line.subject.deed.unwrap();
            let pseudonym = deed.pseudonym.unwrap_or_default();
            (line.subject.method, pseudonym, deed.reason, line.outcome, line.rows)
        };
        lines.into_iter().map(told).collect()
    }

    fn originals(&self, scope: &str, key: Option<&Private>) -> Vec<(u64, String, u64)> {
        let tokens = self.store.tokens(scope, None, key).unwrap();
        tokens.into_iter().map(|t| (t.number, t.original.unwrap(), t.rows)).collect()
    }
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_map_is_written_privately_in_the_order_of_its_numbers_and_recorded() {
    let world = World::new();
    // So many that `user_10000` would stand before `user_1001` as a word.
    let names: Vec<String> = (1..=10_001).map(|number| format!("name{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.store.numbers(USERS, &names).unwrap();
    world.store.numbers(GROUPS, &["physics", "NULL"]).unwrap();
    let out = world.path("mapping.txt");
    let said = world.about("User", &["export", "--column", "Group", "--out", &out]).unwrap();
    assert_eq!(said, format!("10003 tokens are in `{out}` (mode 0600)\n"));
    assert_eq!(mode(&out), 0o600);
    let text = fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // The sections stand as the columns were named.
    let at = lines.iter().position(|line| *line == "USER MAPPINGS:").unwrap();
    assert_eq!(lines[at + 2 + 999], "user_1000       -> name1000");
    assert_eq!(lines[at + 2 + 9_999], "user_10000      -> name10000");
    assert!(text.contains("\nGROUP MAPPINGS:\n"));
    assert!(text.contains("\ngroup_A         -> physics\ngroup_B         -> NULL\n"));
    assert!(text.contains("\nTotal users anonymized: 10001\n"));
    // It is never replaced unless told to, and what was refused is recorded too.
    let again = world.about("User", &["export", "--out", &out]).unwrap_err();
    assert_eq!(again, format!("`{out}` exists; `--overwrite` replaces it"));
    assert_eq!(fs::read_to_string(&out).unwrap(), text);
    world.about("Group", &["export", "--out", &out, "--overwrite", "--format", "csv"]).unwrap();
    assert!(fs::read_to_string(&out).unwrap().starts_with("token,original,count,valid\ngroup_A,"));
    let told: Vec<_> =
        world.told().into_iter().map(|line| (line.0, line.2, line.3, line.4)).collect();
    let line =
        |outcome, rows| ("MappingExport".to_owned(), "ticket 4711".to_owned(), outcome, Some(rows));
    assert_eq!(told, [line("done", 10_003), line("failed", 0), line("done", 2)]);
    // Nothing else lies beside it.
    let beside = fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(beside, 3, "state, policies and the file");
}

#[test]
fn a_reason_and_names_are_asked_for() {
    let world = World::new();
    let refused = |words: &[&str]| world.call(words).unwrap_err();
    let out = world.path("x.txt");
    let named = ["--dataset", "jobs", "--column", "User", "--partner", "cern"];
    let with = |verb: &[&'static str]| [verb, &named].concat();
    assert!(refused(&with(&["lookup", "user_0001"])).contains("--reason"));
    assert!(refused(&[&with(&["export"])[..], &["--out", &out]].concat()).contains("--reason"));
    let blank = [&with(&["lookup", "user_0001"])[..], &["--reason", "  "]].concat();
    assert!(refused(&blank).contains("a reason is not empty"));
    let word = ["lookup", "user_0001", "--reason", "x", "--dataset", "jobs", "--column", "User"];
    assert!(refused(&word).contains("--partner"));
    assert!(refused(&["export", "--out", &out, "--reason", "x"]).contains("--scope"));
    // Nothing was recorded, because nothing was asked of the state.
    assert!(world.told().is_empty());
}

#[test]
fn misspelt_names_are_refused_with_a_suggestion() {
    let world = World::new();
    let policies = world.path("policies");
    let call = |dataset: &str, column: &str, partner: &str| {
        let named = ["--dataset", dataset, "--column", column, "--partner", partner];
        let rest = ["--policies", &policies, "--reason", "x"];
        world.call(&[&["lookup", "user_0001"], &named[..], &rest[..]].concat()).unwrap_err()
    };
    assert_eq!(call("jbos", "User", "cern"), "there is no dataset `jbos`; did you mean `jobs`?");
    assert_eq!(call("jobs", "Usr", "cern"), "`jobs` has no column `Usr`; did you mean `User`?");
    assert_eq!(call("jobs", "User", "cren"), "there is no partner `cren`; did you mean `cern`?");
    let why = call("jobs", "Mail", "cern");
    assert!(
        why.starts_with("column `Mail` is under `pseudonym.hmac`, which keeps no map"),
        "{why}"
    );
    assert!(world.told().is_empty());
}

#[test]
fn a_token_is_looked_up_after_it_is_recorded_and_what_is_none_fails() {
    let world = World::new();
    world.store.numbers(USERS, &["jsmith", "evil\u{1b}[2J", " "]).unwrap();
    let of = Counted { dataset: "jobs", column: "User", version: "1" };
    world.store.count(USERS, of, &[(1, 7)]).unwrap();
    let said = world.about("User", &["lookup", "user_0001"]).unwrap();
    assert_eq!(said, "user_0001       -> jsmith\n7 rows, first seen 2027-01-15T08:00:00Z, valid\n");
    // Another column of the same domain has the same map.
    assert_eq!(world.about("Owner", &["lookup", "user_0001"]).unwrap(), said);
    let said = world.about("User", &["lookup", "user_0002"]).unwrap();
    assert!(said.starts_with("user_0002       -> evil\\u{1b}[2J\n"), "{said}");
    let json = world.about("User", &["lookup", "user_0003", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["original"], &json["valid"]), (&" ".into(), &false.into()));
    for (token, why) in [
        ("user_0004", format!("`user_0004` was never given out in `{USERS}`")),
        ("user_4", "`user_4` is written `user_0004` by the policy".to_owned()),
        ("group_A", "`group_A` does not begin with `user_`".to_owned()),
        ("user_0000", "`user_0000` stands for null: there is no original".to_owned()),
    ] {
        assert_eq!(world.about("User", &["lookup", token]).unwrap_err(), why);
    }
    let told = world.told();
    assert_eq!(told.len(), 8);
    assert!(told.iter().all(|line| line.0 == "MappingLookup" && line.2 == "ticket 4711"));
    assert_eq!((&*told[4].1, told[4].3), ("user_0004", "failed"));
}

/// A log that cannot be written: the head was tampered with.
#[test]
fn what_cannot_be_recorded_is_not_told() {
    let world = World::new();
    world.store.numbers(USERS, &["jsmith"]).unwrap();
    world.about("User", &["lookup", "user_0001"]).unwrap();
    rusqlite::Connection::open(world.folder.path().join("state").join(crate::server::STATE_FILE))
        .unwrap()
        .execute("UPDATE audit_head SET seq = seq - 1", [])
        .unwrap();
    let why = world.about("User", &["lookup", "user_0001"]).unwrap_err();
    assert!(why.contains("the head of the audit log is not authentic"), "{why}");
    let out = world.path("mapping.txt");
    assert!(world.about("User", &["export", "--out", &out]).is_err());
    assert!(!Path::new(&out).exists());
}

/// The mapping file of the old script for a centre with 704 groups, in its order.
fn old_script(groups: usize) -> String {
    let letters = |n: usize| -> String {
        let letter = |at: usize| char::from(b'A' + u8::try_from(at).unwrap());
        if n <= 26 {
            letter(n - 1).to_string()
        } else {
            [letter((n - 27) / 26), letter((n - 27) % 26)].iter().collect()
        }
    };
    let mut lines: Vec<String> =
        (1..=groups).map(|n| format!("{:<15} -> g{n}", format!("group_{}", letters(n)))).collect();
    lines.sort();
    let rule = "=".repeat(80);
    format!(
        "{rule}\nCLUSTER DATA ANONYMIZATION MAPPING\n{rule}\nUSER MAPPINGS:\n{}\nuser_0001       -> jsmith\n\
         user_0002       -> NULL\nuser_0003       ->  jsmith \n\nGROUP MAPPINGS:\n{}\n{}\n\n{rule}\n\
         Total users anonymized: 3\nTotal groups anonymized: {groups}\n{rule}\n",
        "-".repeat(80),
        "-".repeat(80),
        lines.join("\n")
    )
}

#[test]
fn a_centre_that_used_the_old_script_keeps_its_tokens() {
    let world = World::new();
    let file = world.path("old.txt");
    fs::write(&file, old_script(702)).unwrap();
    let said = world.about("Group", &["import", &file]).unwrap();
    assert_eq!(
        said,
        "passed over, because they are of other columns: USER\n\
         702 tokens were taken in; the next new value is `group_AAA`\n"
    );
    let said = world.about("User", &["import", &file]).unwrap();
    assert!(
        said.ends_with("\n3 tokens were taken in; the next new value is `user_0004`\n"),
        "{said}"
    );
    // The serving path gives the old tokens to old values, and goes on after them.
    let numbers = world.store.numbers(GROUPS, &["g702", "g27", "g1", "new"]).unwrap();
    assert_eq!(numbers, [702, 27, 1, 703]);
    let numbers = world.store.numbers(USERS, &[" jsmith ", "NULL", "jsmith"]).unwrap();
    assert_eq!(numbers, [3, 2, 1]);
    // What is written is read again, in any form, and changes nothing.
    let before = world.originals(GROUPS, None);
    for form in ["text", "csv", "json"] {
        let out = world.path(&format!("groups.{form}"));
        world.about("Group", &["export", "--out", &out, "--format", form]).unwrap();
        let said = world.about("Group", &["import", &out, "--with-counts"]).unwrap();
        assert!(said.starts_with("0 tokens were taken in, 703 were here already"), "{said}");
    }
    assert_eq!(world.originals(GROUPS, None), before);
}

#[test]
fn the_703rd_group_of_the_old_script_is_refused_and_nothing_is_taken_in() {
    let world = World::new();
    let file = world.path("old.txt");
    // One byte after Z, as the script counted.
    let text =
        old_script(702).replace("Total groups anonymized: 702", "Total groups anonymized: 703");
    let text =
        text.replace("group_A         -> g1\n", "group_A         -> g1\ngroup_[A        -> g703\n");
    fs::write(&file, text).unwrap();
    let why = world.about("Group", &["import", &file]).unwrap_err();
    assert!(why.contains("`group_[A` has a character that comes after Z: the old script"), "{why}");
    assert!(why.contains("was not taken in, and nothing was changed"), "{why}");
    assert!(!why.contains("g703"), "no value is told");
    assert!(world.store.token_scopes().unwrap().is_empty());
}

#[test]
fn every_clash_is_told_and_nothing_is_changed() {
    let world = World::new();
    world.store.numbers(USERS, &["jsmith", "mjones"]).unwrap();
    let file = world.path("other.csv");
    let rows = "user_0001,jsmith\nuser_0002,alee\nuser_0003,mjones\nuser_0004,new\n";
    fs::write(&file, format!("token,original\n{rows}")).unwrap();
    let why = world.about("User", &["import", &file]).unwrap_err();
    assert_eq!(
        why,
        format!(
            "`{file}` was not taken in, and nothing was changed:\n  \
             line 3: `user_0002` stands for another value already\n  \
             line 4: the value of `user_0003` is `user_0002` already"
        )
    );
    assert_eq!(world.originals(USERS, None).len(), 2);
    let told = world.told();
    assert_eq!((told[0].0.as_str(), told[0].3), ("MappingImport", "failed"));
}

#[test]
fn the_json_of_the_notebooks_is_taken_in_and_given_back_the_same() {
    const ADDRESSES: &str = "column:jobs/Address|partner:cern|1";
    let world = World::new();
    let file = world.path("map.json");
    let old = serde_json::json!({
        "entries": [
            {"token": "IP5", "count": 3, "valid": true, "original": "10.0.0.1"},
            {"token": "IP6", "count": 1, "valid": false, "original": "256.0.0.1"},
        ],
        "config": {"prefix": "IP", "start": 5, "counter": 6},
    });
    fs::write(&file, old.to_string()).unwrap();
    // A row that is served here must not count twice: unless it is said, the file's counts are left out.
    let said = world.about("Address", &["import", &file]).unwrap();
    let taken = "2 tokens were taken in; the next new value is `IP7`\n";
    assert_eq!(
        said,
        format!(
            "{taken}counts of 2 tokens, 4 rows, were left out: rows are counted when they are served here; \
             `--with-counts` takes them\n"
        )
    );
    assert!(world.originals(ADDRESSES, None).iter().all(|(_, _, rows)| *rows == 0));
    let said = world.about("Address", &["import", &file, "--with-counts"]).unwrap();
    assert!(
        said.contains("\ncounts of 2 tokens were taken in, 4 rows; rows that are served"),
        "{said}"
    );
    let out = world.path("again.json");
    world.about("Address", &["export", "--out", &out]).unwrap();
    let again: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(again, old);
    // A duplicate keeps its token and bumps the count; a new one goes on.
    assert_eq!(world.store.numbers(ADDRESSES, &["10.0.0.1", "10.0.0.9"]).unwrap(), [5, 7]);
    let of = Counted { dataset: "jobs", column: "Address", version: "1" };
    world.store.count(ADDRESSES, of, &[(5, 2), (7, 1)]).unwrap();
    let rows: Vec<u64> =
        world.originals(ADDRESSES, None).iter().map(|(_, _, rows)| *rows).collect();
    assert_eq!(rows, [5, 1, 1]);
    // A file of another prefix is not read as if it were this one's.
    fs::write(&file, old.to_string().replace("\"prefix\":\"IP\"", "\"prefix\":\"UR\"")).unwrap();
    let why = world.about("Address", &["import", &file]).unwrap_err();
    assert!(why.contains("write `prefix: UR` into the rule of column `Address`"), "{why}");
}

#[test]
fn values_are_taken_in_as_the_policy_evens_them_out() {
    let world = World::new();
    let file = world.path("logins.csv");
    fs::write(&file, "token,original\nlogin_1, Ann \nlogin_2,Bob\n").unwrap();
    world.about("Login", &["import", &file]).unwrap();
    let scope = "column:jobs/Login|partner:cern|1";
    assert_eq!(world.store.numbers(scope, &["bob", "ann"]).unwrap(), [2, 1]);
    // What was two values elsewhere is one here.
    fs::write(&file, "token,original\nlogin_3,carl\nlogin_4,CARL\n").unwrap();
    let why = world.about("Login", &["import", &file]).unwrap_err();
    assert!(why.ends_with("line 3: the value of `login_4` is `login_3` already"), "{why}");
}

#[test]
fn a_map_is_exported_by_the_name_of_its_scope() {
    let world = World::new();
    world.store.numbers(GROUPS, &["physics"]).unwrap();
    let out = world.path("map.csv");
    let call = |more: &[&str]| {
        let words = ["export", "--scope", GROUPS, "--out", &out, "--overwrite", "--reason", "x"];
        world.call(&[&words[..], more].concat()).map(|_| fs::read_to_string(&out).unwrap())
    };
    assert!(call(&[]).unwrap().ends_with("\nID_1,physics,0,true\n"));
    let text = call(&["--prefix", "group_", "--letters", "--format", "text"]).unwrap();
    assert!(text.contains("\nGROUP MAPPINGS:\n"), "{text}");
    assert!(call(&["--partner", "cern"]).is_err());
    let list = world.call(&["list"]).unwrap();
    insta::assert_snapshot!(list, @r"
    scope                                 tokens     highest      sealed
    column:jobs/Group|partner:cern|1           1           1           0
    ");
    let words = ["export", "--scope", "none", "--out", &out, "--overwrite", "--reason", "x"];
    assert!(world.call(&words).unwrap_err().starts_with("there is no token map `none`"));
}

#[test]
fn sealed_originals_are_told_with_the_private_key_only() {
    let world = World::new();
    world.store.numbers(USERS, &["jsmith"]).unwrap();
    let key = world.path("originals.key");
    let why = ["--reason", "vault"];
    assert!(world.call(&["seal-key", "--out", &key]).unwrap_err().contains("--reason"));
    assert!(world.call(&["seal"]).unwrap_err().contains("--reason"));
    let with = |words: &[&str]| world.call(&[words, &why].concat());
    let said = with(&["seal-key", "--out", &key]).unwrap();
    assert!(said.starts_with(&format!("made `{key}` (mode 0600), key ")), "{said}");
    assert_eq!(mode(&key), 0o600);
    let other = world.path("other.key");
    let again = with(&["seal-key", "--out", &other]).unwrap_err();
    assert_eq!(again, "originals are sealed already; the key stays, unless `--rotate` changes it");
    assert!(!Path::new(&other).exists());
    let said = with(&["seal"]).unwrap();
    assert_eq!(
        said,
        "1 originals were sealed\nnothing of what lay there before is left in the files of the state\n"
    );
    assert_eq!(world.store.numbers(USERS, &["alee", "jsmith"]).unwrap(), [2, 1]);
    let sealed =
        "the originals are sealed; `--originals-key FILE` names the private key that opens them";
    assert_eq!(world.about("User", &["lookup", "user_0001"]).unwrap_err(), sealed);
    let out = world.path("mapping.txt");
    assert_eq!(world.about("User", &["export", "--out", &out]).unwrap_err(), sealed);
    let said = world.about("User", &["lookup", "user_0002", "--originals-key", &key]).unwrap();
    assert!(said.starts_with("user_0002       -> alee\n"), "{said}");
    world.about("User", &["export", "--out", &out, "--originals-key", &key]).unwrap();
    assert!(fs::read_to_string(&out).unwrap().contains("user_0001       -> jsmith\n"));
    let wrong = world.path("wrong.key");
    Private::generate().unwrap().create_file(Path::new(&wrong)).unwrap();
    let why = world.about("User", &["lookup", "user_0002", "--originals-key", &wrong]).unwrap_err();
    assert!(why.starts_with("an original does not open"), "{why}");
    // What is imported is sealed as well.
    let file = world.path("more.csv");
    fs::write(&file, "token,original\nuser_0003,mjones\nuser_0001,jsmith\n").unwrap();
    world.about("User", &["import", &file]).unwrap();
    let private = Private::load(Path::new(&key)).unwrap();
    let names: Vec<String> =
        world.originals(USERS, Some(&private)).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["jsmith", "alee", "mjones"]);
    assert_eq!(world.store.token_scopes().unwrap()[0].sealed, 3);
    let told: Vec<_> = world.told().into_iter().map(|line| (line.0, line.2)).collect();
    let line = |method: &str| (method.to_owned(), "vault".to_owned());
    assert_eq!(told[..2], [line("MappingSealKey"), line("MappingSeal")]);
}

#[test]
fn the_key_of_originals_is_changed_whole_or_not_at_all_and_goes_on_where_it_was_broken_off() {
    let world = World::new();
    let [old, new, third] = ["old.key", "new.key", "third.key"].map(|name| world.path(name));
    let rotate = |from: &str, to: &str| {
        world.call(&[
            "seal-key",
            "--rotate",
            "--originals-key",
            from,
            "--out",
            to,
            "--reason",
            "yearly",
        ])
    };
    let made = |path: &str| Private::generate().unwrap().create_file(Path::new(path)).unwrap();
    made(&third);
    assert!(rotate(&third, &new).unwrap_err().starts_with("originals are not sealed; leave out"));
    world.call(&["seal-key", "--out", &old, "--reason", "vault"]).unwrap();
    world.store.numbers(USERS, &["jsmith", "alee"]).unwrap();
    let names = |key: &str| -> Vec<String> {
        let private = Private::load(Path::new(key)).unwrap();
        world.originals(USERS, Some(&private)).into_iter().map(|(_, name, _)| name).collect()
    };
    // A wrong key, and the old one as the new one, change nothing and leave nothing.
    let why = rotate(&third, &new).unwrap_err();
    assert!(why.starts_with("the originals are sealed with the key "), "{why}");
    assert!(!Path::new(&new).exists());
    assert!(rotate(&old, &old).unwrap_err().ends_with("holds the key that is to be changed"));
    assert_eq!(names(&old), ["jsmith", "alee"]);
    // Broken off when the file was made and nothing was sealed with it.
    made(&new);
    let kept = fs::read(&new).unwrap();
    let said = rotate(&old, &new).unwrap();
    assert!(said.contains("is the key now; 2 originals were sealed anew\n"), "{said}");
    assert_eq!(fs::read(&new).unwrap(), kept, "a key file is never written over");
    assert_eq!(names(&new), ["jsmith", "alee"]);
    // Broken off between the change and its message.
    let said = rotate(&old, &new).unwrap();
    assert!(said.contains("is the key now; 0 originals were sealed anew\n"), "{said}");
    let key = ["lookup", "user_0002", "--originals-key", &old];
    assert!(world.about("User", &key).unwrap_err().starts_with("an original does not open"));
    // From nothing, and the file is private.
    fs::remove_file(&third).unwrap();
    rotate(&new, &third).unwrap();
    assert_eq!(
        (mode(&third), names(&third)),
        (0o600, vec!["jsmith".to_owned(), "alee".to_owned()])
    );
    assert_eq!(world.store.numbers(USERS, &["alee", "new"]).unwrap(), [2, 3]);
    let told: Vec<_> =
        world.told().into_iter().filter(|line| line.0 == "MappingSealKeyRotate").collect();
    let outcomes: Vec<_> = told.iter().map(|line| (line.3, line.4)).collect();
    let failed = ("failed", Some(0));
    assert_eq!(outcomes, [failed, failed, ("done", Some(2)), ("done", Some(0)), ("done", Some(2))]);
    assert!(told.iter().all(|line| line.2 == "yearly"));
}
