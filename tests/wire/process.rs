//! The program as an operator runs it: ready file, signals, exit codes, what it says.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tonic::Request;
use tonic::transport::Endpoint;

use crate::site::{Client, JOBS, PATIENCE, code, folder, path, write_policy};

/// 32 bytes that nobody uses.
const KEY: &str = "8d1f0c2b7a4e5d6690b1c2d3e4f5a6b7c8d9eafb0c1d2e3f405162738495a6b1";

fn serve(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veilflight"));
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--key", "env:TEST_MASTER_KEY", "--grace-seconds", "1"])
        .arg("--policies")
        .arg(folder.join("policies"))
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--ready-file")
        .arg(folder.join("ready"))
        .args(more)
        .env("TEST_MASTER_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What is said in a file.
fn said(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_listens_and_stops_in_order_when_asked() {
    let folder = folder();
    let log = folder.path().join("log");
    let stderr = std::fs::File::create(&log).unwrap();
    let mut program = serve(folder.path(), &["--log-format", "json"]);
    let child = program.stderr(stderr).spawn().unwrap();
    let ready = folder.path().join("ready");
    wait_for("the ready file", || ready.exists());
    let uri = std::fs::read_to_string(&ready).unwrap();
    assert!(uri.starts_with("grpc+tcp://127.0.0.1:") && uri.ends_with('\n'), "{uri}");
    let endpoint = uri.trim().replace("grpc+tcp", "http");
    let channel = Endpoint::from_shared(endpoint).unwrap().connect().await.unwrap();
    let mut client = Client::new(channel);
    let status = client.get_flight_info(Request::new(path("jobs"))).await.unwrap_err();
    assert_eq!(code(&status), "I001");

    write_policy(folder.path(), "broken.yaml", "version: 1\ndatasett: x\n");
    write_policy(folder.path(), "lab.yaml", &JOBS.replace("dataset: jobs", "dataset: lab"));
    signal(&child, "-HUP");
    wait_for("the new policy", || said(&log).contains("a policy takes effect"));
    wait_for("the broken policy", || said(&log).contains("a policy is refused"));
    signal(&child, "-TERM");
    let (exit, stdout, _) = ended(child);
    let stderr = said(&log);
    assert_eq!((exit, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(!ready.exists());
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().find(|line| line["message"] == message);
    assert_eq!(said("serving").unwrap()["uri"], uri.trim());
    assert_eq!(said("a policy takes effect").unwrap()["dataset"], "lab");
    let refused = said("a policy is refused; what was in force stays").unwrap();
    assert!(refused["report"].as_str().unwrap().contains("did you mean `dataset`"));
    assert!(said("stopped").is_some());
    assert!(!stderr.contains(KEY));
}

#[test]
fn an_invalid_policy_is_exit_code_3_with_the_report() {
    let folder = folder();
    write_policy(folder.path(), "jobs.yaml", &JOBS.replace("drop", "dorp"));
    let (exit, stdout, stderr) = ended(serve(folder.path(), &[]).spawn().unwrap());
    assert_eq!((exit, stdout.as_str()), (Some(3), ""));
    assert!(stderr.contains("did you mean `drop`"), "{stderr}");
    assert!(stderr.contains("jobs.yaml:7"), "{stderr}");
}

#[test]
fn what_cannot_be_used_is_exit_code_1_with_the_reason() {
    let folder = folder();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", "0.0.0.0:0"], "there is no TLS"),
        (&["--key", "env:NO_SUCH_VARIABLE"], "`NO_SUCH_VARIABLE` is not set"),
        (&["--policies", "/no/such/folder"], "/no/such/folder"),
        (&["--tls-certificate", "/no/cert", "--tls-key", "/no/key"], "/no/cert"),
    ];
    for (more, reason) in cases {
        let (policies, state) = (folder.path().join("policies"), folder.path().join("state"));
        let mut settings = vec![
            ("--listen", "127.0.0.1:0"),
            ("--key", "env:TEST_MASTER_KEY"),
            ("--policies", policies.to_str().unwrap()),
            ("--state", state.to_str().unwrap()),
        ];
        settings.retain(|(flag, _)| !more.contains(flag));
        let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_veilflight"))
            .arg("serve")
            .args(settings.iter().flat_map(|(flag, value)| [flag, value]))
            .args(more)
            .env("TEST_MASTER_KEY", KEY)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{more:?}: {stderr}");
        assert!(stderr.contains(reason), "{more:?}: {stderr}");
    }
}
