//! Grid Engine: the fixture by hand, the same job from the accounting file, and what newer versions print.

use super::super::format::Options;
use super::super::testing::{Outcome, fixture, ingest};

fn read(text: &str) -> Outcome {
    ingest("uge", text, Options::default()).unwrap()
}

#[test]
fn the_fixtures_jobs_are_typed() {
    let Some(text) = fixture("uge/qacct.txt") else { return };
    let out = read(&text);
    let counts = out.summary.counts;
    assert_eq!((counts.rows, counts.rejected), (3, 0));
    let table = &out.table;
    assert_eq!(table.column("owner"), ["alice", "bob", "carol"]);
    assert_eq!(table.column("jobnumber"), ["1001", "1002", "1003"]);
    assert_eq!(table.column("taskid"), ["-", "-", "1"]);
    assert_eq!(table.column("start_time")[0], "2024-01-15T08:05:12Z");
    assert_eq!(table.column("ru_wallclock"), ["8118.0", "312.0", "5400.0"]);
    assert_eq!(table.column("ru_utime")[0], "7934.223");
    assert_eq!(table.column("maxvmem"), ["55834214400", "10737418240", "107374182400"]);
    assert_eq!(table.column("exit_status"), ["0", "1", "0"]);
    assert_eq!(table.column("slots"), ["16", "4", "32"]);
}

#[test]
fn a_line_of_the_accounting_file_gives_the_columns_of_qacct() {
    // The fixture's first job as the file has it: 08:00:00, 08:05:12 and 10:20:30 of 15 January 2024.
    let line = "gpu.q:gpu-node01.cluster.example.edu:physics:alice:train_model:1001:proj_a:0:\
                1705305600:1705305912:1705314030:0:0:8118:7934.223:200.001:46137344:0:0:0:0:1234567:12:0:\
                48920:31240:0:0:0:89234:45231:proj_a:defaultdepartment:smp:16:0:8134.224:52428800.000:\
                1234.567:-U x:0.000:NONE:55834214400.000:0:0\n";
    let out = read(&format!("# Version: 6.2\n{line}"));
    assert_eq!(out.rejects, []);
    let table = &out.table;
    assert_eq!(table.column("qsub_time"), ["2024-01-15T08:00:00Z"]);
    assert_eq!(table.column("end_time"), ["2024-01-15T10:20:30Z"]);
    assert_eq!(table.column("category"), ["-U x"]);
    assert_eq!(table.column("taskid"), ["-"]);
    if let Some(blocks) = fixture("uge/qacct.txt") {
        let other = read(&blocks).table;
        for name in &other.names {
            assert_eq!(table.column(name)[0], other.column(name)[0], "{name}");
        }
    }
    // Before reservations there were two fields less; any other number is not understood.
    let older = line.trim_end().rsplitn(3, ':').last().unwrap();
    let text = format!("{line}{older}\n{older}:x\n");
    let out = read(&text);
    assert_eq!((out.summary.counts.rows, out.summary.counts.rejected), (2, 1));
    assert_eq!(
        (out.rejects[0].0.as_str(), out.rejects[0].1),
        ("44 fields; 43, 45, 52, 54 and 55 are known", 3)
    );
}

#[test]
fn newer_versions_of_the_accounting_file_have_more_fields_and_milliseconds() {
    let line = "gpu.q:gpu-node01:physics:alice:train:1001:proj_a:0:1705305600250:1705305912000:1705314030999:\
                0:0:8118.999:7934.223:200.001:46137344:0:0:0:0:1:12:0:48920:31240:0:0:0:89234:45231:proj_a:\
                defaultdepartment:smp:16:0:8134.224:52428800.000:1234.567:-U x:0.000:NONE:55834214400:0:0:\
                NONE:bob@adm01:46137344:1048576:login01:/home/alice/run:";
    let known = format!(
        "{line}qsub -N train t.sh\n{line}qsub t.sh:8118.999:42\n{line}qsub t.sh:8118.999:42:16\n"
    );
    let mut text = known.into_bytes();
    // A colon and a newline inside the command, as these versions write them.
    text.extend_from_slice(line.as_bytes());
    text.extend_from_slice(b"qsub -v A=b\xffc\xfed\n");
    text.extend_from_slice(format!("{line}x:1:2:3:4\n").as_bytes());
    // 0xff has a meaning in these two fields and in no other.
    text.extend_from_slice(&[b"a\xff".as_slice(), line.as_bytes(), b"x\n"].concat());
    let out = ingest("uge", &text, Options::default()).unwrap();
    assert_eq!((out.summary.counts.rows, out.summary.counts.rejected), (4, 2));
    assert_eq!(out.rejects[0].0, "56 fields; 43, 45, 52, 54 and 55 are known");
    assert_eq!(out.rejects[1].0, "not UTF-8");
    let table = &out.table;
    assert_eq!(table.column("qsub_time")[0], "2024-01-15T08:00:00.250Z");
    assert_eq!(table.column("end_time")[0], "2024-01-15T10:20:30.999Z");
    assert_eq!(table.column("job_class")[0], "-");
    assert_eq!(table.column("qdel_info")[0], "bob@adm01");
    assert_eq!(table.column("maxrss")[0], "46137344");
    assert_eq!(table.column("submit_host")[0], "login01");
    assert_eq!(table.column("cwd")[0], "/home/alice/run");
    assert_eq!(table.column("submit_cmd")[0], "qsub -N train t.sh");
    assert_eq!(table.column("submit_cmd")[3], "qsub -v A=b:c\nd");
    assert_eq!(table.column("wallclock"), ["-", "8118.999", "8118.999", "-"]);
    assert_eq!(table.column("ioops"), ["-", "42.0", "42.0", "-"]);
    assert_eq!(table.column("bound_cores"), ["-", "-", "16", "-"]);
}

#[test]
fn words_behind_numbers_and_units_of_newer_versions_are_read() {
    let rule = "=".repeat(62);
    let text = format!(
        "{rule}\nqname        all.q\nowner        ann\njobnumber    7\nsubmission_time 01/15/2024 08:00:00.123\n\
         start_time   -/-\nfailed       100 : assumedly after job\nexit_status  137                  (Killed)\n\
         ru_wallclock 312s\nmaxvmem      1.5G\ncpu          7934.223s\nsubmit_cmd   qsub -N a b.sh\n{rule}\n\
         qname        all.q\nowner        bob\n"
    );
    let out = read(&text);
    let table = &out.table;
    assert_eq!(table.column("qsub_time"), ["2024-01-15T08:00:00.123Z"]);
    assert_eq!(table.column("start_time"), ["-"]);
    assert_eq!(table.column("failed"), ["100"]);
    assert_eq!(table.column("failed_reason"), ["assumedly after job"]);
    assert_eq!(table.column("exit_status"), ["137"]);
    assert_eq!(table.column("exit_reason"), ["Killed"]);
    assert_eq!(table.column("ru_wallclock"), ["312.0"]);
    assert_eq!(table.column("maxvmem"), ["1610612736"]);
    assert_eq!(table.column("submit_cmd"), ["qsub -N a b.sh"]);
    assert_eq!(out.rejects.len(), 1);
    assert_eq!(out.rejects[0].0, "a block without a job's number");
}
