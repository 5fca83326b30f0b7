//! What a run owes whoever starts it: the same rows however often it is stopped, nothing of another run
//! touched, nothing readable by others.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::testing::{Scene, Table, rejects, silent};
use super::super::{Counts, Observer};
use super::*;

/// A dump of so many jobs; every ninth is damaged.
fn dump(jobs: u32) -> String {
    let mut text = "JobID|User|Elapsed|SubmitLine\n".to_owned();
    for job in 0..jobs {
        let elapsed = if job % 9 == 4 { "soon" } else { "00:00:07" };
        text.push_str(&format!("{job}|user{}|{elapsed}|sbatch a\n  b{job}.sh\n", job % 7));
    }
    text
}

fn told(result: Result<Summary>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_run_in_many_chunks_and_files_keeps_the_order() {
    let scene = Scene::new();
    let inputs = [scene.input("a.txt", dump(300)), scene.input("b.txt", dump(100))];
    let request = scene.request("slurm", &inputs);
    let done = run(&request, &silent()).unwrap();
    let damaged = |jobs: u64| (jobs + 4) / 9;
    let rejected = damaged(300) + damaged(100);
    assert_eq!(done.counts, Counts { rows: 400 - rejected, rejected, left_out: 0 });
    assert!(done.files > 10, "{}", done.files);
    let table = Table::read(&request.out);
    let jobs: Vec<u32> = (0..300).chain(0..100).filter(|job| job % 9 != 4).collect();
    let expected: Vec<String> = jobs.iter().map(u32::to_string).collect();
    assert_eq!(table.column("JobID"), expected);
    let rejects = rejects(&done.rejects);
    let lines: Vec<u64> = rejects.iter().map(|(_, line, _)| *line).collect();
    let damaged = (0..300_u64).chain(0..100).filter(|job| job % 9 == 4);
    assert_eq!(lines, damaged.map(|job| job * 2 + 2).collect::<Vec<_>>());
}

#[test]
fn whatever_is_written_only_its_owner_may_read() {
    let scene = Scene::new();
    let request = scene.request("slurm", &[scene.input("a.txt", dump(50))]);
    run(&request, &silent()).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(&request.out).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names.first().map(String::as_str), Some("a-00000.parquet"));
    assert!(names.contains(&"rejects.csv".to_owned()) && names.contains(&"ingest.json".to_owned()));
    // Born so, not made so: the creating call itself says the mode.
    let fresh = super::super::manifest::Fresh::create(&request.out, "x").unwrap();
    assert_eq!(fresh.file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
}

/// Panics when so many bytes were read: what a killed run leaves behind.
struct Killer {
    left: AtomicU64,
}

impl Observer for Killer {
    fn begin(&self, _: u64) {}
    fn read(&self, bytes: u64) {
        let left = self.left.load(Ordering::SeqCst);
        assert!(left >= bytes, "killed");
        self.left.store(left - bytes, Ordering::SeqCst);
    }
}

// INVARIANT: however often a run is stopped, and wherever, going on gives every row once.
#[test]
fn a_run_that_was_stopped_goes_on() {
    let scene = Scene::new();
    let mut text = "JobID|User|Elapsed|SubmitLine\n".to_owned();
    for job in 0..60_000 {
        let elapsed = if job % 1_000 == 4 { "soon" } else { "00:00:07" };
        text.push_str(&format!("{job}|user{}|{elapsed}|sbatch a\n  b{job}.sh\n", job % 7));
    }
    let inputs = [scene.input("a.txt", &text), scene.input("b.txt", dump(100))];
    let mut request = scene.request("slurm", &inputs);
    request.limits = Limits { rows_per_group: 500, rows_per_file: 2_000, threads: 2 };
    let mut whole = request.clone();
    whole.out = scene.folder.path().join("whole");
    let expected = run(&whole, &silent()).unwrap();
    let mut stops = 0;
    let mut earlier = 0;
    loop {
        let left = AtomicU64::new(1_000_000 + 700_000 * stops);
        let killer: Arc<dyn Observer> = Arc::new(Killer { left });
        let request = request.clone();
        match std::thread::spawn(move || run(&request, &killer)).join() {
            Err(_) => stops += 1,
            Ok(done) => {
                let done = done.unwrap();
                assert_eq!(done.counts, expected.counts);
                earlier = earlier.max(done.earlier.rows);
                break;
            }
        }
        assert!(stops < 50);
    }
    assert!(stops > 1 && earlier > 0, "{stops} {earlier}");
    assert_eq!(Table::read(&request.out), Table::read(&whole.out));
    assert_eq!(rejects(&request.out.join("rejects.csv")), rejects(&whole.out.join("rejects.csv")));
}

#[test]
fn what_a_stopped_run_left_half_done_is_written_again() {
    let scene = Scene::new();
    let inputs = [scene.input("a.txt", dump(200))];
    let mut request = scene.request("slurm", &inputs);
    let done = run(&request, &silent()).unwrap();
    let table = Table::read(&request.out);
    // As if it was stopped after the third file got its name, before the manifest said so.
    let path = request.out.join("ingest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let input = &mut manifest.inputs[0];
    let kept: u64 = input.parts.iter().take(2).map(|part| part.rows).sum();
    for part in input.parts.drain(2..).skip(1) {
        fs::remove_file(request.out.join(part.file)).unwrap();
    }
    assert!(kept > 0 && kept < done.counts.rows);
    let again = scene.folder.path().join("again");
    let mut other = request.clone();
    other.out = again.clone();
    // Where the second file ended, a run with the same limits that was asked to stop there tells.
    run(&other, &silent()).unwrap();
    fs::remove_dir_all(&again).unwrap();
    let text = fs::read_to_string(&request.inputs[0]).unwrap();
    let ids: Vec<&str> = table.column("JobID");
    let next = format!("\n{}|", ids[usize::try_from(kept).unwrap()]);
    let bytes = text.find(&next).unwrap() + 1;
    let before = text.split_at(bytes).0;
    let lines = before.matches('\n').count() as u64;
    let rejected = before.matches("soon").count() as u64;
    input.at = Some(Mark { bytes: bytes as u64, lines });
    input.counts = Counts { rows: kept, rejected, left_out: 0 };
    input.done = false;
    let all = fs::read(request.out.join("rejects.csv")).unwrap();
    let mut length = 0;
    for _ in 0..=rejected {
        // Each reject is two lines of text, the header one.
        let lines = if length == 0 { 1 } else { 2 };
        for _ in 0..lines {
            length += all[length..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        }
    }
    manifest.rejects_bytes = length as u64;
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    fs::write(request.out.join(".a-00003.parquet.unfinished"), "half").unwrap();
    let resumed = run(&request, &silent()).unwrap();
    assert_eq!(resumed.counts, done.counts);
    assert_eq!(resumed.earlier.rows, kept);
    assert_eq!(Table::read(&request.out), table);
    assert_eq!(fs::read(request.out.join("rejects.csv")).unwrap(), all);
    // With other options it does not go on.
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    request.options.zone = "+01:00".parse().unwrap();
    assert!(told(run(&request, &silent())).contains("other options"));
}

#[test]
fn output_of_other_runs_is_left_alone_unless_told() {
    let scene = Scene::new();
    let first = scene.input("a.txt", dump(20));
    let second = scene.input("b.txt", dump(10));
    let mut request = scene.request("slurm", std::slice::from_ref(&first));
    run(&request, &silent()).unwrap();
    let once = Table::read(&request.out);
    assert!(told(run(&request, &silent())).contains("a run that is finished"));
    request.inputs = vec![second.clone()];
    assert!(told(run(&request, &silent())).contains("`--append` to add to it"));
    assert_eq!(Table::read(&request.out), once);
    request.earlier = Earlier::Append;
    let done = run(&request, &silent()).unwrap();
    assert_eq!(done.counts.rows, 9);
    assert_eq!(Table::read(&request.out).rows.len(), once.rows.len() + 9);
    assert_eq!(rejects(&done.rejects).len(), 3);
    assert!(told(run(&request, &silent())).contains("was brought in already"));
    request.inputs = vec![scene.input("c.csv", "JobID|Account\n1|x\n")];
    assert!(told(run(&request, &silent())).contains("other columns"));
    request.inputs = vec![first];
    request.earlier = Earlier::Overwrite;
    run(&request, &silent()).unwrap();
    assert_eq!(Table::read(&request.out), once);
    // A file that no run wrote.
    let mut other = scene.request("slurm", &[second]);
    other.out = scene.folder.path().join("other");
    fs::create_dir(&other.out).unwrap();
    fs::write(other.out.join("mine.parquet"), "PAR1").unwrap();
    assert!(told(run(&other, &silent())).contains("`mine.parquet`, which is of no run here"));
    assert_eq!(fs::read_dir(&other.out).unwrap().count(), 1);
}

#[test]
fn inputs_that_changed_since_are_not_gone_on_with() {
    let scene = Scene::new();
    let input = scene.input("a.txt", dump(200));
    let request = scene.request("slurm", std::slice::from_ref(&input));
    run(&request, &silent()).unwrap();
    let path = request.out.join("ingest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.inputs[0].done = false;
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&input).unwrap();
    file.write_all(b"999|x|00:00:01|y\n").unwrap();
    assert!(told(run(&request, &silent())).contains("they changed since"));
}

#[test]
fn packed_inputs_are_unpacked_and_others_named() {
    let scene = Scene::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"\xef\xbb\xbf").unwrap();
    packer.write_all(dump(30).as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    // Two members, as when archives are joined.
    let mut second = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    second.write_all(b"77|ada|00:00:01|x\n").unwrap();
    let packed = second.finish().unwrap();
    let request = scene.request("slurm", &[scene.input("jobs.txt.gz", packed)]);
    let done = run(&request, &silent()).unwrap();
    assert_eq!(done.counts, Counts { rows: 28, rejected: 3, left_out: 0 });
    assert!(request.out.join("jobs-00000.parquet").exists());
    let zstd = scene.input("jobs.zst", b"\x28\xb5\x2f\xfd...");
    let text = told(run(&scene.request("slurm", &[zstd]), &silent()));
    assert!(text.contains("packed by zstd; unpack it first"), "{text}");
    let missing = scene.folder.path().join("missing");
    assert!(told(run(&scene.request("slurm", &[missing]), &silent())).contains("cannot be read"));
}

#[test]
fn inputs_of_one_name_get_files_of_their_own() {
    let scene = Scene::new();
    let inputs: Vec<PathBuf> = ["jan", "feb"]
        .map(|month| {
            fs::create_dir(scene.folder.path().join(month)).unwrap();
            scene.input(&format!("{month}/sacct.txt"), dump(5))
        })
        .to_vec();
    let request = scene.request("slurm", &inputs);
    run(&request, &silent()).unwrap();
    let names = |name: &str| Path::new(&request.out).join(name).exists();
    assert!(names("sacct-00000.parquet") && names("sacct-2-00000.parquet"));
    let twice = [inputs[0].clone(), inputs[0].clone()];
    assert!(told(run(&scene.request("slurm", &twice), &silent())).contains("named twice"));
}

#[test]
fn units_and_the_format_stand_in_the_schema() {
    let scene = Scene::new();
    let text = "JobID|Elapsed|MaxRSS|User\n1|00:00:01|4K|ada\n";
    let request = scene.request("slurm", &[scene.input("a.txt", text)]);
    run(&request, &silent()).unwrap();
    let file = fs::File::open(request.out.join("a-00000.parquet")).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema();
    assert_eq!(schema.metadata().get(FORMAT).map(String::as_str), Some("slurm"));
    let unit = |name: &str| {
        let field = schema.field_with_name(name).unwrap();
        field.metadata().get(super::super::column::UNIT).map(String::as_str)
    };
    assert_eq!(unit("Elapsed"), Some("seconds"));
    assert_eq!(unit("MaxRSS"), Some("bytes"));
    assert_eq!(unit("User"), None);
}
