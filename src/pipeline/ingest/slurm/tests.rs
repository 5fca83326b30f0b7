//! What records of `sacct` become, damaged ones too.

use proptest::prelude::*;

use super::super::Counts;
use super::super::format::{Options, Steps};
use super::super::testing::{Outcome, ingest};

fn slurm(text: impl AsRef<[u8]>) -> Outcome {
    ingest("slurm", text, Options::default()).unwrap()
}

fn error(text: &str, options: Options) -> String {
    ingest("slurm", text, options).err().unwrap().to_string()
}

fn fields(names: &str) -> Options {
    Options { fields: Some(names.split(',').map(str::to_owned).collect()), ..Options::default() }
}

#[test]
fn fields_get_the_types_that_sacct_gives_them() {
    let done = slurm(
        "JobID|User|UID|State|ExitCode|ReqMem|MaxRSS|Elapsed|TotalCPU|Submit|NodeList|Priority\n\
         1|ada|70|COMPLETED|0:15|48000Mn|1.5G|7-20:39:39|05:12.750|2016-12-21T21:43:34|cpn-f13-03-[01-02],login1|3\n\
         2_7|bob||CANCELLED by 423120|1:0|4Gc||1-02:03|INVALID|Unknown|None assigned|\n\
         3|None||TIMEOUT|0:0|2G|512|00:00:01||None|n[1-2]|0\n",
    );
    let expected = [
        ("JobID", "Utf8", ["1", "2_7", "3"]),
        ("User", "Utf8", ["ada", "bob", "None"]),
        ("UID", "Int64", ["70", "-", "-"]),
        ("State", "Utf8", ["COMPLETED", "CANCELLED", "TIMEOUT"]),
        ("CancelledBy", "Int64", ["-", "423120", "-"]),
        ("ExitCode", "Int64", ["0", "1", "0"]),
        ("ExitSignal", "Int64", ["15", "0", "0"]),
        ("ReqMem", "Int64", ["50331648000", "4294967296", "2147483648"]),
        ("ReqMemPer", "Utf8", ["node", "cpu", "-"]),
        ("MaxRSS", "Int64", ["1610612736", "-", "512"]),
        ("Elapsed", "Int64", ["679179", "93780", "1"]),
        ("TotalCPU", "Float64", ["312.75", "-", "-"]),
        ("Submit", "Timestamp(µs, \"UTC\")", ["2016-12-21T21:43:34Z", "-", "-"]),
        ("NodeList", "List(Utf8)", ["[cpn-f13-03-01, cpn-f13-03-02, login1]", "-", "[n1, n2]"]),
        ("Priority", "Int64", ["3", "-", "0"]),
    ];
    assert_eq!(done.rejects, []);
    for ((at, (name, kind, values)), own) in expected.iter().enumerate().zip(&done.table.names) {
        assert_eq!(name, own);
        assert_eq!(done.table.types[at], *kind, "{name}");
        assert_eq!(done.table.column(name), values, "{name}");
    }
    assert_eq!(done.table.names.len(), expected.len());
}

#[test]
fn a_header_is_found_whatever_the_file_was_through() {
    for text in [
        "User|Group|JobID\nada|staff|1\n",
        // A byte-order mark hid the users' column from the tool that this replaces, CRLF the groups'.
        "\u{feff}User|Group|JobID\nada|staff|1\n",
        "User|Group|JobID\r\nada|staff|1\r\n",
        "\"User\"|\"Group\"|\"JobID\"\n\"ada\"|\"staff\"|\"1\"\n",
        " user | GROUP | jobid \nada|staff|1\n",
        // As `sacct --parsable` ends lines.
        "User|Group|JobID|\nada|staff|1|\n",
        "User|Group|JobID\nada|staff|1",
    ] {
        let done = slurm(text);
        assert_eq!(done.table.names, ["User", "Group", "JobID"], "{text:?}");
        assert_eq!(done.table.rows, [["ada", "staff", "1"]], "{text:?}");
    }
    let options = Options { delimiter: Some(b','), ..Options::default() };
    let done = ingest("slurm", "User,Group,JobID\nada,staff,1\n", options).unwrap();
    assert_eq!(done.table.rows, [["ada", "staff", "1"]]);
}

#[test]
fn names_may_be_given_where_there_is_no_header() {
    let text = "1|ada|00:01:00\n2|bob|00:02:00\n";
    let told = error(text, Options::default());
    assert!(told.contains("no header line") && told.contains("name its 3 fields"), "{told}");
    let done = ingest("slurm", text, fields("jobid,user,elapsed")).unwrap();
    assert_eq!(done.table.names, ["JobID", "User", "Elapsed"]);
    assert_eq!(done.table.column("Elapsed"), ["60", "120"]);
    let told = error("JobID|User\n1|ada\n", fields("JobID,Account"));
    assert!(told.contains("`--fields` names others"), "{told}");
    let told = error("a b c\n", Options::default());
    assert!(told.contains("--parsable2"), "{told}");
}

#[test]
fn newlines_inside_free_texts_are_part_of_them() {
    let done = slurm(
        "JobID|SubmitLine|User\n\
         1|sbatch a.sh|ada\n\
         2|sbatch --wrap='\n\n  echo 1\n'|bob\n\
         3|x|cyd\n",
    );
    assert_eq!(done.rejects, []);
    let lines = ["sbatch a.sh", "sbatch --wrap='\n\n  echo 1\n'", "x"];
    assert_eq!(done.table.column("SubmitLine"), lines);
    assert_eq!(done.table.column("User"), ["ada", "bob", "cyd"]);
    // In the last field nothing ends a record but the next one.
    let done = slurm("JobID|User|SubmitLine\n1|ada|a \\\n b | c \\\n\n d\n2|bob|e\n\n");
    assert_eq!(done.table.column("SubmitLine"), ["a \\\n b | c \\\n\n d", "e"]);
    assert_eq!(done.rejects, []);
}

#[test]
fn delimiters_inside_free_texts_are_resolved_where_one_way_fits() {
    // Of two free texts with a typed field between them, only one way lets the types fit.
    let text = "JobID|JobName|Elapsed|SubmitLine|NNodes\n\
                1|a|00:00:01|x | y|2\n\
                2|a|b|00:00:02|z|3\n";
    let done = slurm(text);
    assert_eq!(done.rejects, []);
    assert_eq!(done.table.column("JobName"), ["a", "a|b"]);
    assert_eq!(done.table.column("SubmitLine"), ["x | y", "z"]);
    // Side by side there is no telling.
    let done = slurm("JobID|JobName|Comment\n1|a|b|c\n2|d|e\n");
    assert_eq!(done.table.column("JobName"), ["d"]);
    assert!(done.rejects[0].0.contains("more than one free text"), "{:?}", done.rejects);
    // Nowhere may a delimiter stand here.
    let done = slurm("JobID|User|Account\n1|a|b|c\n2|d|e\n");
    assert_eq!(done.rejects, [("too many fields".to_owned(), 2, "1|a|b|c".to_owned())]);
}

#[test]
fn what_cannot_be_read_is_rejected_with_its_reason_and_line() {
    let done = slurm(
        b"JobID|User|Elapsed|Account\n\
          1|ada|00:00:01|x\n\
          2|bob|soon|x\n\
          3|cyd\n\
          four|dan|00:00:04|x\n\
          junk\n\
          \n\
          5|e\xffe|00:00:05|x\n\
          6|fay|00:00:06|x|y\n\
          7|gil|00:00:07|x\n\
          8|hal"
            .as_slice(),
    );
    assert_eq!(done.table.column("JobID"), ["1", "four", "7"]);
    let found: Vec<(&str, u64)> =
        done.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
    assert_eq!(
        found,
        [
            ("column `Elapsed`: no span of time", 3),
            ("too few fields", 4),
            ("a line that neither begins nor goes on with a record", 6),
            ("column `User`: not UTF-8", 8),
            ("too many fields", 9),
            ("too few fields", 11),
        ]
    );
    assert_eq!(done.rejects[1].2, "3|cyd");
    assert_eq!(done.summary.counts, Counts { rows: 3, rejected: 6, left_out: 0 });
}

const STEPS: &str = "JobID|User|MaxRSS|MaxRSSNode|NTasks|State|Elapsed\n\
    1|ada||||COMPLETED|00:10:00\n\
    1.batch||4K|n1|1|COMPLETED|00:10:00\n\
    1.0||9K|n2|16|COMPLETED|00:05:00\n\
    2|bob|||| FAILED|00:00:01\n\
    3_1|cyd||||CANCELLED by 7|00:00:02\n\
    3_1.extern||1K|n9|1|COMPLETED|00:00:02\n\
    3_1.0||lots|n9|1|COMPLETED|00:00:02\n";

#[test]
fn steps_are_kept_folded_or_left_out() {
    let with =
        |steps: Steps| ingest("slurm", STEPS, Options { steps, ..Options::default() }).unwrap();
    let kept = with(Steps::Keep);
    assert_eq!(kept.summary.counts, Counts { rows: 6, rejected: 1, left_out: 0 });
    assert_eq!(kept.table.column("JobID"), ["1", "1.batch", "1.0", "2", "3_1", "3_1.extern"]);
    let folded = with(Steps::Fold);
    assert_eq!(folded.summary.counts, Counts { rows: 3, rejected: 1, left_out: 3 });
    assert_eq!(folded.table.column("JobID"), ["1", "2", "3_1"]);
    assert_eq!(folded.table.column("MaxRSS"), ["9216", "-", "1024"]);
    // The node goes with the greatest memory.
    assert_eq!(folded.table.column("MaxRSSNode"), ["n2", "-", "n9"]);
    assert_eq!(folded.table.column("NTasks"), ["16", "-", "1"]);
    assert_eq!(folded.table.column("Elapsed"), ["600", "1", "2"]);
    assert_eq!(folded.table.column("State"), ["COMPLETED", " FAILED", "CANCELLED"]);
    let dropped = with(Steps::Drop);
    assert_eq!(dropped.summary.counts, Counts { rows: 3, rejected: 0, left_out: 4 });
    assert_eq!(dropped.table.column("MaxRSS"), ["-", "-", "-"]);
}

#[test]
fn a_step_without_its_job_is_rejected_when_steps_are_folded() {
    let text = "JobID|NNodes\n9.batch|1\n1|x\n1.0|1\n2|1\n";
    let options = Options { steps: Steps::Fold, ..Options::default() };
    let done = ingest("slurm", text, options).unwrap();
    let reasons: Vec<&str> = done.rejects.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "a step whose job is not before it",
            "column `NNodes`: no integer",
            "a step whose job was rejected"
        ]
    );
    assert_eq!(done.table.column("JobID"), ["2"]);
}

/// A line of a dump, whole or damaged.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1_u32..99, "[a-z]{1,5}", 0_u32..60).prop_map(|(id, user, seconds)| {
            format!("{id}|{user}|00:00:{seconds:02}|run {user}")
        }),
        1 => (1_u32..99).prop_map(|id| format!("{id}.batch||00:00:01|")),
        1 => "[0-9a-z|. ]{0,12}",
        1 => (1_u32..99).prop_map(|id| format!("{id}|x|never|y")),
        1 => Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // INVARIANT: nothing is dropped silently. Every line of a damaged dump is in a row, in the rejects,
    // in a step that was folded, or blank; and how the text was cut into chunks changes nothing.
    #[test]
    fn every_line_is_somewhere(lines in prop::collection::vec(line(), 0..120), fold: bool) {
        let text = format!("JobID|User|Elapsed|SubmitLine\n{}", lines.join("\n"));
        let steps = if fold { Steps::Fold } else { Steps::Keep };
        let options = Options { steps, ..Options::default() };
        let done = ingest("slurm", &text, options.clone()).unwrap();
        let counts = done.summary.counts;
        prop_assert_eq!(counts.rows as usize, done.table.rows.len());
        prop_assert_eq!(counts.rejected as usize, done.rejects.len());
        let filled = lines.iter().filter(|line| !line.trim().is_empty()).count();
        let newlines = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        let rejected: usize = done.rejects.iter().map(|(_, _, text)| newlines(text)).sum();
        // Lines that go on with a submit line are rows' lines too.
        let within: usize = done.table.column("SubmitLine").iter()
            .map(|text| newlines(text.split_once('\n').map_or("", |(_, rest)| rest))).sum();
        let steps = counts.left_out as usize;
        let known = counts.rows as usize + within + rejected + steps;
        // A step's own free text goes with it, and is not seen here.
        prop_assert!(known <= filled && (fold || known == filled), "{} of {}", known, filled);
        let whole = super::super::testing::ingest_whole("slurm", &text, options).unwrap();
        prop_assert_eq!(whole.table, done.table);
        prop_assert_eq!(whole.rejects, done.rejects);
    }
}
