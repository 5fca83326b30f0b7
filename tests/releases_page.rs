//! The page about releases: its policies load, its commands run, and its pictures are those of the command that
//! it states. Says nothing about whether the advice is good.

use std::ffi::OsString;
use std::path::Path;

use veilflight::cli::{Exit, run};
use veilflight::policy::load::load_bytes;

use crate::shared::shared;

const PAGE: &str = include_str!("../docs/releases.md");

/// The policies in the page, by dataset.
fn policies() -> Vec<(String, String)> {
    let blocks = PAGE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let policies = blocks.filter(|block| block.starts_with("version:"));
    policies
        .map(|text| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/page.yaml");
            let loaded = load_bytes(&path, text.as_bytes());
            let loaded = loaded.unwrap_or_else(|report| panic!("{report}\n{text}"));
            assert!(loaded.policy.release.is_some());
            (loaded.policy.dataset, text.to_owned())
        })
        .collect()
}

#[test]
fn every_policy_of_the_page_loads() {
    let names: Vec<String> = policies().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["adult", "slurm_release"]);
}

#[test]
fn the_commands_of_the_page_run_on_its_policies() {
    let Some(data) = shared("data") else { return };
    let folder = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in policies() {
        let text = text
            .replace("../../shared/data", data.to_str().unwrap())
            .replace("hierarchies/", &format!("{}/policies/hierarchies/", project.display()));
        std::fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
        let html = folder.path().join(format!("{name}.html"));
        let words = ["veilflight", "risk", &name, "--policies", folder.path().to_str().unwrap()];
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.extend(["--state".into(), folder.path().join("state").into_os_string()]);
        words.extend(["--html".into(), html.clone().into_os_string()]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(words, &mut out, &mut err);
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{name}");
        assert!(out.contains("What makes rows unique"), "{out}");
        let page = std::fs::read_to_string(html).unwrap();
        assert!(
            page.contains("</svg>") && !page.contains("Self-emp") && !page.contains("Bachelors")
        );
        if name == "adult" {
            // As in the page: distinct combinations of the seven columns, and how many are unique.
            assert!(out.contains("30,162"), "{out}");
        }
    }
}
