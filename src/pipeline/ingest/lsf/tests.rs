//! LSF: both layouts of the fixtures by hand, broken lines, and a record of `lsb.acct`.

use super::super::format::Options;
use super::super::testing::{Outcome, fixture, ingest};

fn read(text: &str) -> Outcome {
    ingest("lsf", text, Options::default()).unwrap()
}

#[test]
fn both_layouts_of_bhist_give_the_same_columns() {
    let Some(text) = fixture("lsf/bhist_l.txt") else { return };
    let out = read(&text);
    assert_eq!((out.summary.counts.rows, out.summary.counts.rejected), (3, 0));
    let table = &out.table;
    assert_eq!(table.column("job_id"), ["1001", "1002", "1003"]);
    assert_eq!(table.column("user"), ["alice", "bob", "carol"]);
    assert_eq!(table.column("user_group"), ["physics", "chemistry", "biology"]);
    assert_eq!(
        table.column("command"),
        ["python train.py", "python infer.py", "R --no-save < analysis.R"]
    );
    assert_eq!(table.column("from_host"), ["login01", "login01", "login02"]);
    assert_eq!(table.column("start_time")[0], "2024-01-15T08:05:12Z");
    assert_eq!(table.column("end_time")[0], "2024-01-15T10:20:30Z");
    assert_eq!(table.column("execution_hosts"), ["[gpu-node01]", "[gpu-node02]", "[bigmem01]"]);
    assert_eq!(table.column("slots"), ["16", "4", "8"]);
    assert_eq!(table.column("processors_requested"), ["16", "4", "8"]);
    // 44171, 8000 and 98304 MB.
    assert_eq!(table.column("max_memory"), ["46316650496", "8388608000", "103079215104"]);
    assert_eq!(table.column("cpu_time"), ["8134.22", "298.15", "5380.44"]);
    assert_eq!(table.column("exit_code"), ["0", "1", "0"]);
    assert_eq!(table.column("status"), ["DONE", "EXIT", "DONE"]);
    let Some(newer) = fixture("lsf/bhist_l_9x.txt") else { return };
    let newer = read(&newer).table;
    assert_eq!(newer.names, table.names);
    assert_eq!(newer.column("submit_time")[1], "2024-01-01T09:00:00Z");
    assert_eq!(newer.column("end_time"), ["2024-01-15T12:02:15Z", "2024-01-01T09:03:45Z"]);
    assert_eq!(newer.column("max_memory"), ["30064771072", "1073741824"]);
}

#[test]
fn broken_lines_are_put_together_and_events_say_what_no_summary_does() {
    let text = format!(
        "Job <12>, Job Name <a>, User <ann>, Project <p>, Command <run -x <in> >out; echo \n\
         {0}done>\n\
         Mon Jan 15 08:00:00 2024: Submitted from host <login01>, to Queue <short>, CW\n\
         {0}D <$HOME>;\n\
         Mon Jan 15 08:01:00 2024: Dispatched 4 Task(s) on Host(s) <n1> <n2>, Effective RES_REQ <select[x]>;\n\
         Mon Jan 15 08:02:00 2024: Exited with exit code 137. The CPU time used is 1.5 seconds;\n\n\
         {1}\n\nno job here\n{1}\n",
        " ".repeat(21),
        "-".repeat(78),
    );
    let out = read(&text);
    let table = &out.table;
    assert_eq!(table.column("command"), ["run -x <in> >out; echodone"]);
    assert_eq!(table.column("cwd"), ["$HOME"]);
    assert_eq!(table.column("start_time"), ["2024-01-15T08:01:00Z"]);
    assert_eq!(table.column("end_time"), ["2024-01-15T08:02:00Z"]);
    assert_eq!(table.column("execution_hosts"), ["[n1, n2]"]);
    assert_eq!(table.column("status"), ["EXIT"]);
    assert_eq!(table.column("exit_code"), ["137"]);
    assert_eq!(out.rejects.len(), 1);
    assert_eq!(out.rejects[0].0, "a block without a job's line");
}

/// A record as the reference for `lsb.acct` orders its fields, up to the memory used.
const FINISHED: &str = "\"JOB_FINISH\" \"10.1\" 1705314030 1001 5001 33816578 16 1705305600 0 0 1705305912 \
    \"alice\" \"gpu\" \"rusage[mem=65536]\" \"\" \"\" \"login01\" \"work\" \"\" \"out\" \"\" \"1705305600.1001\" \
    0 2 \"8*gpu-node01\" \"8*gpu-node02\" 64 12.0 \"train \"\"x\"\"\" \"python train.py\" 7934.223 200.001 \
    -1 0 -1 0 0 12 0 0 48 31 -1 0 0 0 89 45 -1 \"\" \"proj_a\" 0 16 \"/bin/sh\" \"\" 3 45231104 0 \"\" \"\"";

#[test]
fn a_record_of_lsb_acct_is_typed_and_others_are_left_out() {
    let cut = FINISHED.split_at(300).0;
    let text =
        format!("{FINISHED}\n\"JOB_RESIZE\" \"10.1\" 1705314030 1001\n{cut}\n\"JOB_FINISH\n");
    let out = read(&text);
    let counts = out.summary.counts;
    assert_eq!((counts.rows, counts.rejected, counts.left_out), (1, 2, 1));
    let table = &out.table;
    assert_eq!(table.column("jobId"), ["1001"]);
    assert_eq!(table.column("userName"), ["alice"]);
    assert_eq!(table.column("submitTime"), ["2024-01-15T08:00:00Z"]);
    assert_eq!(table.column("beginTime"), ["-"]);
    assert_eq!(table.column("startTime"), ["2024-01-15T08:05:12Z"]);
    assert_eq!(table.column("execHosts"), ["[gpu-node01, gpu-node02]"]);
    assert_eq!(table.column("numExHosts"), ["2"]);
    assert_eq!(table.column("jobName"), ["train \"x\""]);
    assert_eq!(table.column("ru_utime"), ["7934.223"]);
    assert_eq!(table.column("ru_maxrss"), ["-"]);
    assert_eq!(table.column("projectName"), ["proj_a"]);
    assert_eq!(table.column("idx"), ["3"]);
    assert_eq!(table.column("maxRMem"), ["45231104"]);
}

/// What versions since 10 write behind it, counted by hand from the reference: two pairs of the submission,
/// the use of two hosts, no network, two hosts of slots, one range of indexes, one GPU.
const BEHIND: &str = " \"user2#0\" \"\" 0 \"\" 14 \"URG\" 600 \"/saap\" \"\" \"gpu_app\" \"\" 3600 \"/grp\" \"\" 1024 \
    \"\" 1705309000 \"\" \"nightly\" 2 \"app\" \"a b\" \"key\" \"say \"\"x\"\"\" 2 \"gpu-node01\" 4096 0 7000 150 \
    \"gpu-node02\" 2048 0 934 50 8 86400 2097152 \"select[type==any]\" \"\" 0 \"\" 0 0 0 0 0 \"/out\" 8118 \
    \"/work\" 0 \"\" -1.0 0.5 0.0 0.0 0.0 2 \"gpu-node01\" \"gpu-node02\" 12 1 1 9 2 0 1 \"gpu-node01\" 1 \
    \"util\" \"98\" 0 1 \"k\" \"v\" 0.25";

#[test]
fn what_newer_versions_write_behind_the_memory_used_is_read() {
    let out = read(&format!("{FINISHED}{BEHIND}\n"));
    assert_eq!(out.rejects, []);
    let table = &out.table;
    for (name, expected) in [
        ("maxRSwap", "0"),
        ("rsvId", "user2#0"),
        ("sla", "-"),
        ("exitInfo", "14"),
        ("warningAction", "URG"),
        ("warningTimePeriod", "600"),
        ("app", "gpu_app"),
        ("runtimeEstimation", "3600"),
        ("lastResizeTime", "2024-01-15T08:56:40Z"),
        ("jobDescription", "nightly"),
        ("submitExt", r#"{"app":"a b","key":"say \"x\""}"#),
        (
            "hostRusage",
            r#"[{"host":"gpu-node01","mem":4096,"swap":0,"utime":7000,"stime":150},{"host":"gpu-node02","mem":2048,"swap":0,"utime":934,"stime":50}]"#,
        ),
        ("options3", "8"),
        ("runLimit", "86400"),
        ("avgMem", "2097152"),
        ("effectiveResReq", "select[type==any]"),
        ("forwardTime", "-"),
        ("outdir", "/out"),
        ("runTime", "8118"),
        ("subcwd", "/work"),
        ("networkAlloc", "-"),
        ("serial_job_energy", "-1.0"),
        ("cpi", "0.5"),
        ("allocSlots", "[gpu-node01, gpu-node02]"),
        ("ineligiblePendTime", "12"),
        ("indexRanges", "[[1,9,2]]"),
        ("requeueTime", "-"),
        ("gpuRusage", r#"[{"host":"gpu-node01","usage":{"util":"98"}}]"#),
        ("finishKvp", r#"{"k":"v"}"#),
        ("schedulingOverhead", "0.25"),
    ] {
        assert_eq!(table.column(name), [expected], "{name}");
    }
    assert!(!table.names.iter().any(|name| name == "rest"));
}

#[test]
fn a_field_that_no_reference_has_ends_what_is_understood_and_is_kept() {
    // A sixth value for each host, as some versions write; a text where a number belongs; more behind the end.
    let six =
        BEHIND.replace("4096 0 7000 150", "4096 0 7000 150 7").replace("934 50 8", "934 50 7 8");
    let odd = BEHIND.replace(" 3600 \"/grp\"", " \"soon\" \"/grp\"");
    let more = format!("{BEHIND} 7 \"new\"");
    let open = BEHIND.replace("\"v\" 0.25", "\"v");
    let all = [six, odd, more, open].map(|behind| format!("{FINISHED}{behind}\n")).concat();
    let out = read(&format!("{all}{FINISHED}\n"));
    assert_eq!((out.summary.counts.rows, out.summary.counts.rejected), (4, 1));
    let table = &out.table;
    assert_eq!(table.column("jobDescription"), ["nightly", "-", "nightly", "-"]);
    assert!(table.column("hostRusage")[0].contains(r#""stime":150,"more":7}"#));
    assert_eq!(table.column("avgMem"), ["2097152", "-", "2097152", "-"]);
    let rest = table.column("rest");
    assert_eq!((rest[0], rest[2], rest[3]), ("-", "7 \"new\"", "-"));
    assert!(rest[1].starts_with("\"soon\" \"/grp\""), "{}", rest[1]);
}

#[test]
fn an_input_of_something_else_is_refused() {
    let refused = ingest("lsf", "User,Group\na,b\n", Options::default()).map(|_| ()).unwrap_err();
    assert!(refused.chain().contains("is neither the output of `bhist -l`"), "{}", refused.chain());
}
