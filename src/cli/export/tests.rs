//! Exports as a custodian makes them: what is said, what is left beside them, what is in the way.

use std::os::unix::fs::PermissionsExt;

use arrow::compute::concat_batches;

use super::*;
use crate::local::tests::Custody;

fn export(custody: &Custody, more: &[&str]) -> std::result::Result<String, String> {
    export_of(custody, "jobs", more)
}

fn export_of(custody: &Custody, name: &str, more: &[&str]) -> std::result::Result<String, String> {
    let state = custody.folder.path().join("state");
    let policies = custody.policies();
    let mut words = vec![name, "--partner", "cern", "--state", state.to_str().unwrap()];
    words.extend(["--policies", policies.to_str().unwrap()]);
    words.extend(more);
    let args = crate::cli::place::parse(&words)?;
    let mut out = Vec::new();
    let done = run(&args, Arc::clone(&custody.clock), &mut out);
    done.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn an_export_says_what_it_wrote_and_leaves_a_manifest_for_the_custodian() {
    let custody = Custody::new();
    custody.write_policy(
        "jobs.yaml",
        "version: 1\ndataset: jobs\nsource: {parquet: 'jobs/*.parquet'}\nrows: Id > 0\ncolumns:\n  \
         Id: keep\n  User: {pseudonym: {method: hmac}}\n  Secret: drop\n\
         grants: [{partner: cern, access: rows}]\n",
    );
    let out = custody.folder.path().join("jobs.parquet");
    let shown = out.to_str().unwrap();
    let told = export(&custody, &["--to", "parquet", "--out", shown]).unwrap();
    assert!(told.starts_with(&format!("wrote {shown}: 5 rows, ")), "{told}");
    assert!(told.contains("(the same columns in the source's parquet): "), "{told}");
    assert!(
        told.contains("left out: 1 rows, by `rows`, `nulls` or `release` of the policy"),
        "{told}"
    );
    let manifest = Manifest::read(&out).unwrap().unwrap();
    assert_eq!((manifest.rows, manifest.rows_raw), (5, Some(6)));
    assert_eq!(
        (&*manifest.dataset, &*manifest.partner, &*manifest.format),
        ("jobs", "cern", "parquet")
    );
    assert_eq!(manifest.date, "2027-01-15T08:00:00Z");
    let columns: Vec<_> = manifest
        .columns
        .iter()
        .map(|it| format!("{} {} {}", it.name, it.kind, it.protection))
        .collect();
    assert_eq!(columns, ["Id Int64 keep", "User Utf8 pseudonym.hmac"]);
    assert!(manifest.bytes_raw > 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&manifest::path_of(&out)), 0o600);
    // Once is enough.
    let again = export(&custody, &["--to", "parquet", "--out", shown]).unwrap_err();
    assert!(again.ends_with("`--force` replaces it"), "{again}");
    export(&custody, &["--to", "parquet", "--out", shown, "--force"]).unwrap();
    assert_eq!(
        custody.told(),
        [
            "export cern jobs done Some(0)",
            "export cern jobs/0 done Some(1)",
            "export cern jobs/1 done Some(2)",
            "export cern jobs/2 done Some(2)",
        ]
        .repeat(2)
    );
}

#[test]
fn rows_are_sorted_where_asked_and_the_types_stay() {
    let custody = Custody::new();
    let path = |name: &str| custody.folder.path().join(name);
    let (plain, sorted) = (path("a.arrow"), path("b.arrow"));
    export(&custody, &["--to", "arrow", "--out", plain.to_str().unwrap()]).unwrap();
    let more = ["--to", "arrow", "--out", sorted.to_str().unwrap(), "--sort-by", "User"];
    export(&custody, &more).unwrap();
    let read = |path: &Path| {
        let file = std::fs::File::open(path).unwrap();
        let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
        let schema = reader.schema();
        concat_batches(&schema, &reader.map(|batch| batch.unwrap()).collect::<Vec<_>>()).unwrap()
    };
    let (plain, sorted) = (read(&plain), read(&sorted));
    assert_eq!(plain.schema(), sorted.schema());
    let order = arrow::compute::sort_to_indices(plain.column(1), None, None).unwrap();
    let expected = arrow::compute::take(plain.column(1), &order, None).unwrap();
    assert_eq!(sorted.column(1).as_ref(), expected.as_ref());
    let wrong = ["--to", "arrow", "--out", "x", "--sort-by", "Usr"];
    let error = export(&custody, &wrong).unwrap_err();
    assert_eq!(error, "`--sort-by`: no column `Usr` leaves `jobs`; did you mean `User`?");
}

#[test]
fn a_folder_has_one_file_a_shard_and_is_replaced_as_a_whole() {
    let custody = Custody::new();
    let out = custody.folder.path().join("jobs");
    let shown = format!("{}/", out.display());
    let told = export(&custody, &["--to", "csv", "--out", &shown]).unwrap();
    assert!(told.contains("6 rows"), "{told}");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&out).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["part-00000.csv", "part-00001.csv", "part-00002.csv"]);
    std::fs::write(out.join("old"), "").unwrap();
    assert!(export(&custody, &["--to", "arrow", "--out", &shown]).is_err());
    export(&custody, &["--to", "arrow", "--out", &shown, "--force"]).unwrap();
    assert_eq!(names(), ["part-00000.arrow", "part-00001.arrow", "part-00002.arrow"]);
    // The folder and its manifest, and nothing half-done beside them.
    let hidden = std::fs::read_dir(custody.folder.path()).unwrap();
    let hidden =
        hidden.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_view_is_exported_by_its_name_and_the_manifest_says_of_what() {
    let custody = Custody::new();
    let policy = std::fs::read_to_string(custody.policies().join("jobs.yaml")).unwrap();
    let views = "views:\n  - {name: ids, sql: \"SELECT Id FROM jobs WHERE Id > 1\"}\ngrants:";
    custody.write_policy("jobs.yaml", &policy.replace("grants:", views));
    let out = custody.folder.path().join("ids.csv");
    let shown = out.to_str().unwrap();
    let more = ["--to", "csv", "--out", shown, "--sort-by", "Id"];
    let told = export_of(&custody, "ids", &more).unwrap();
    assert!(told.starts_with(&format!("wrote {shown}: 4 rows, ")), "{told}");
    // A view leaves out what it leaves out.
    assert!(!told.contains("left out"), "{told}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "Id\r\n2\r\n3\r\n4\r\n5\r\n");
    let manifest = Manifest::read(&out).unwrap().unwrap();
    assert_eq!((manifest.dataset.as_str(), manifest.view.as_deref()), ("jobs", Some("ids")));
    let folder = format!("{}/", custody.folder.path().join("ids").display());
    assert!(export_of(&custody, "ids", &["--to", "arrow", "--out", &folder]).is_ok());
    let error = export_of(&custody, "idz", &["--to", "csv", "--out", "x"]).unwrap_err();
    assert_eq!(error, "no policy has the dataset or view `idz`; did you mean `ids`?");
}
