//! What a profile of real files says, and what it does not say.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;

/// Writes columns to a file with row groups of a hundred rows.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(texts: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(texts.into_iter().collect::<StringArray>())
}

fn sample(folder: &Path, rows: u64) -> Sample {
    Sample::parquet(folder, &[".".to_owned()], rows, &mut |_, _, _| {}).unwrap()
}

fn whole(sample: &Sample, of: &[usize]) -> Profile {
    let (sampled, rows, files) = sample.size();
    let columns = sample.columns(&mut |_, _, _| {}).unwrap();
    let links = sample.links(of, &mut |_, _, _| {}).unwrap();
    Profile { rows, sampled, files, columns, links }
}

#[test]
fn a_profile_holds_no_text_and_no_number_of_any_cell() {
    let folder = tempfile::tempdir().unwrap();
    let canary = |row: usize| format!("canary{row}@example.org");
    write(
        &folder.path().join("a.parquet"),
        vec![
            ("user", texts((0..300).map(|row| Some(canary(row % 7))))),
            ("note", texts((0..300).map(|row| Some(format!("see {} now", canary(row % 7)))))),
            (
                "number",
                Arc::new(Int64Array::from_iter_values((0..300).map(|row| 918_273_645 + row))),
            ),
        ],
    );
    let profile = whole(&sample(folder.path(), 1000), &[0]);
    let shown = format!("{profile:?}");
    assert!(!shown.contains("canary") && !shown.contains("example"), "{shown}");
    assert!(!shown.contains("9182"), "{shown}");
    // It does say that the cells were seen.
    assert_eq!(profile.columns[0].looks[&Look::Email], 300);
    assert_eq!(profile.columns[1].inside[&Look::Email], 300);
    assert_eq!(profile.columns[2].numbers.unwrap().digits_most, 9);
    assert_eq!(profile.columns[0].distinct, 7);
}

#[test]
fn a_sample_takes_rows_of_every_file_and_of_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..5_i64 {
        let rows = Int64Array::from_iter_values((0..10_000).map(|row| file * 10_000 + row));
        write(&folder.path().join(format!("{file}.parquet")), vec![("n", Arc::new(rows))]);
    }
    let sample = sample(folder.path(), 2_000);
    let (sampled, rows, files) = sample.size();
    assert_eq!((rows, files), (Some(50_000), 5));
    assert!((1_500..=2_000).contains(&sampled), "{sampled}");
    let mut seen = Vec::new();
    for piece in &sample.columns[0] {
        let piece = arrow::array::AsArray::as_primitive::<Int64Type>(piece);
        seen.extend(piece.values().iter().copied());
    }
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&49_999)));
    let of_file = |file: i64| seen.iter().filter(|row| **row / 10_000 == file).count();
    assert!(
        (0..5).all(|file| of_file(file) > 200),
        "{:?}",
        (0..5).map(of_file).collect::<Vec<_>>()
    );
    // The same sample again: no chance is in it.
    assert_eq!(
        Sample::parquet(folder.path(), &[".".to_owned()], 2_000, &mut |_, _, _| {}).unwrap().size(),
        (sampled, rows, files)
    );
}

#[test]
fn values_of_one_column_are_found_in_others() {
    let folder = tempfile::tempdir().unwrap();
    let user = |row: usize| ["ada", "bob", "run", "x1"][row % 4].to_owned();
    write(
        &folder.path().join("a.parquet"),
        vec![
            ("user", texts((0..100).map(|row| Some(user(row))))),
            ("uid", Arc::new(Int64Array::from_iter_values((0..100).map(|row| 423_120 + row % 4)))),
            ("mail", texts((0..100).map(|row| Some(format!("{}@example.org", user(row)))))),
            ("host", texts((0..100).map(|_| Some("node17.example.org".to_owned())))),
            ("path", texts((0..100).map(|row| Some(format!("/home/{}/a.sh", user(row)))))),
            (
                "state",
                texts((0..100).map(|row| {
                    Some(if row < 50 {
                        "DONE".to_owned()
                    } else {
                        format!("CANCELLED by {}", 423_120 + row % 4)
                    })
                })),
            ),
            ("word", texts((0..100).map(|_| Some("adage runs".to_owned())))),
            ("slots", texts((0..100).map(|_| Some("slot1@node17".to_owned())))),
        ],
    );
    let profile = whole(&sample(folder.path(), 1000), &[0, 1, 2, 3]);
    let link = |of: usize, within: usize| {
        let found = profile.links.iter().find(|link| (link.of, link.within) == (of, within));
        found.map(|link| (link.whole, link.inside))
    };
    // `x1` is too short to be looked for.
    assert_eq!(link(0, 4), Some((0, 75)));
    assert_eq!(link(0, 2), Some((0, 75)));
    assert_eq!(link(1, 5), Some((0, 50)));
    assert_eq!(link(2, 0), Some((75, 0)));
    assert_eq!(link(3, 7), Some((0, 100)));
    assert_eq!(link(0, 6), None);
}

#[test]
fn nulls_blanks_and_lists_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let values = [None, Some(""), Some("NULL"), Some("Unknown"), Some("ada"), Some("ada")];
    let hosts = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..6).map(|row| (row > 0).then_some(vec![Some(row), None])),
    );
    write(
        &folder.path().join("a.parquet"),
        vec![
            ("user", texts(values.map(|text| text.map(str::to_owned)))),
            ("none", texts((0..6).map(|_| None))),
            ("list", Arc::new(hosts)),
        ],
    );
    let profile = whole(&sample(folder.path(), 10), &[]);
    let [user, none, list] = profile.columns.as_slice() else { panic!() };
    assert_eq!((user.values, user.nulls, user.blanks, user.distinct), (5, 1, 3, 1));
    assert_eq!(user.telling(), 2);
    assert_eq!((none.values, none.nulls, none.distinct), (0, 6, 0));
    assert_eq!((list.nulls, list.distinct), (1, 0));
}
