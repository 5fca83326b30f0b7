//! Reading files as they come: byte-order marks, ragged lines, changed files, filters.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::*;
use crate::pipeline::source::snapshot;
use crate::pipeline::transform::find;
use crate::policy::args::Args;
use crate::policy::plan::plan;
use crate::policy::{Access, Column, FieldType, Grant, Limits, Linkage, Rule, Source};

fn policy(folder: &Path, source: Source, columns: &[&str]) -> Policy {
    let keep = Rule { transform: find("keep", None).unwrap(), args: Args::new() };
    Policy {
        dataset: "jobs".to_owned(),
        description: String::new(),
        source,
        linkage: Linkage::PerPartner,
        rows: None,
        unit: None,
        nulls: Nulls::Keep,
        epoch: None,
        columns: columns
            .iter()
            .map(|name| Column { name: (*name).to_owned(), class: None, rule: keep.clone() })
            .collect(),
        release: None,
        views: Vec::new(),
        privacy: None,
        public_tables: Vec::new(),
        public_numbers: None,
        key_files: Vec::new(),
        grants: vec![Grant {
            partner: "cern".to_owned(),
            access: Access::Rows,
            until: None,
            limits: Limits::default(),
        }],
        digest: String::new(),
        path: folder.join("jobs.yaml"),
    }
}

fn text(nulls: &[&str], header: bool, quote: Option<u8>) -> Source {
    Source::Delimited {
        paths: vec!["jobs.txt".to_owned()],
        delimiter: b'|',
        header,
        quote,
        nulls: nulls.iter().map(|&word| word.to_owned()).collect(),
        columns: vec![
            ("User".to_owned(), FieldType::Text),
            ("Cpus".to_owned(), FieldType::Integer),
            ("Start".to_owned(), FieldType::Timestamp),
        ],
    }
}

/// All rows of a dataset as text, column by column.
fn read(policy: Policy) -> Result<Vec<Vec<Option<String>>>> {
    let policy = Arc::new(policy);
    let snapshot = snapshot(&policy, 4)?;
    let today = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let plan = plan(&policy, "cern", snapshot.schema(), today)?;
    let names: Vec<String> = plan.columns().iter().map(|column| column.name.clone()).collect();
    let scan = Scan::new(&plan, &snapshot, &names)?;
    let mut batches = Vec::new();
    for piece in snapshot.pieces() {
        for batch in scan.read(piece)? {
            batches.push(batch?);
        }
    }
    names
        .iter()
        .map(|name| {
            let arrays: Vec<ArrayRef> = batches
                .iter()
                .map(|batch| cast(&batch.column(name).unwrap(), &DataType::Utf8).unwrap())
                .collect();
            let borrowed: Vec<_> = arrays.iter().map(|array| array.as_ref()).collect();
            if borrowed.is_empty() {
                return Ok(Vec::new());
            }
            let all = concat(&borrowed).unwrap();
            Ok(all.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
        })
        .collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn a_byte_order_mark_and_carriage_returns_hide_no_column() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("jobs.txt"),
        "\u{feff}Cpus|User|Start\r\n4|ann|2026-01-01T00:00:00\r\n|bob|\r\n",
    )
    .unwrap();
    let columns =
        read(policy(folder.path(), text(&[], true, Some(b'"')), &["User", "Cpus", "Start"]));
    let columns = columns.unwrap();
    assert_eq!(columns[0], some(&["ann", "bob"]));
    assert_eq!(columns[1], vec![Some("4".to_owned()), None]);
    assert_eq!(columns[2][0].as_deref(), Some("2026-01-01T00:00:00"));
}

#[test]
fn a_first_line_that_the_policy_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for first in ["User|Cpus", "User|Cpus|Start|Extra", "User|User|Start", "user|Cpus|Start"] {
        fs::write(folder.path().join("jobs.txt"), format!("{first}\nann|4|\n")).unwrap();
        let refused =
            read(policy(folder.path(), text(&[], true, None), &["User", "Cpus", "Start"]));
        assert_eq!(refused.unwrap_err().code(), Code::SchemaDrift, "{first}");
    }
}

#[test]
fn a_file_without_the_header_it_should_have_does_not_put_its_first_row_into_words() {
    let folder = tempfile::tempdir().unwrap();
    for first in ["SECRET-VALUE|4|", "User|Cpus|SECRET-VALUE", "SECRET-VALUE|SECRET-VALUE|Start"] {
        fs::write(folder.path().join("jobs.txt"), format!("{first}\nann|4|\n")).unwrap();
        let refused =
            read(policy(folder.path(), text(&[], true, None), &["User", "Cpus", "Start"]));
        let story = refused.unwrap_err().chain();
        assert!(!story.contains("SECRET"), "{story}");
    }
}

/// A quote that nothing closes would take the columns of later rows into a column that is kept.
#[test]
fn a_quote_that_is_not_closed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jobs.txt"), "\"ann|2|\nbob|3|\n").unwrap();
    let policy = policy(folder.path(), text(&[], false, Some(b'"')), &["User", "Cpus", "Start"]);
    let refused = read(policy).unwrap_err();
    assert_eq!(refused.code(), Code::SourceValue);
    assert!(
        refused.chain().contains("jobs.txt`, line 1: a quote is opened"),
        "{}",
        refused.chain()
    );
    assert!(!refused.chain().contains("ann"), "{}", refused.chain());
}

#[test]
fn a_compressed_file_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jobs.txt"), [0x1F, 0x8B, 8, 0, 0, 0]).unwrap();
    let policy = policy(folder.path(), text(&[], false, None), &["User", "Cpus", "Start"]);
    let refused = read(policy).unwrap_err();
    assert_eq!(refused.code(), Code::SourceUnreadable);
    assert!(refused.chain().contains("compressed by gzip"), "{}", refused.chain());
}

#[test]
fn without_a_quote_character_quotes_are_text_and_words_for_null_are_null() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jobs.txt"), "\"ann|Unknown|None\nbob\"|2|\n").unwrap();
    let source = text(&["Unknown", "None"], false, None);
    let columns = read(policy(folder.path(), source, &["User", "Cpus", "Start"])).unwrap();
    assert_eq!(columns[0], some(&["\"ann", "bob\""]));
    assert_eq!(columns[1], vec![None, Some("2".to_owned())]);
    assert_eq!(columns[2], vec![None, None]);
}

#[test]
fn a_value_that_does_not_fit_is_named_by_place_and_never_by_content() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jobs.txt"), "ann|1|\nbob|SECRET-VALUE|\n").unwrap();
    let source = text(&[], false, None);
    let refused = read(policy(folder.path(), source.clone(), &["User", "Cpus", "Start"]));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::SourceValue);
    assert!(refused.chain().contains("line 2, field 2"), "{}", refused.chain());
    assert!(!refused.chain().contains("SECRET"), "{}", refused.chain());
    fs::write(folder.path().join("jobs.txt"), "ann|1|\nSECRET-VALUE|1\n").unwrap();
    let refused = read(policy(folder.path(), source, &["User", "Cpus", "Start"])).unwrap_err();
    assert_eq!(refused.code(), Code::SourceValue);
    assert!(refused.chain().contains("line 2: the number of fields"), "{}", refused.chain());
    assert!(!refused.chain().contains("SECRET"), "{}", refused.chain());
}

/// Two row groups; in the first `User` is a dictionary, in the second it is not.
fn write_parquet(path: &Path) {
    let batch = |users: Vec<Option<&str>>, from: i64| {
        let numbers = (from..).take(users.len()).collect::<Vec<_>>();
        RecordBatch::try_from_iter_with_nullable([
            ("User", Arc::new(StringArray::from(users)) as ArrayRef, true),
            ("JobStatus", Arc::new(Int64Array::from(numbers)) as ArrayRef, false),
        ])
        .unwrap()
    };
    let first = batch(vec![Some("ann"), None, Some("bob"), Some("ann")], 0);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(4)).build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties)).unwrap();
    writer.write(&first).unwrap();
    writer.write(&batch(vec![Some("eve"), Some("ann"), None], 4)).unwrap();
    writer.close().unwrap();
}

fn parquet(folder: &Path) -> Policy {
    write_parquet(&folder.join("jobs.parquet"));
    let source = Source::Parquet { paths: vec![folder.display().to_string()] };
    policy(folder, source, &["User", "JobStatus"])
}

#[test]
fn the_row_filter_keeps_what_is_true_and_drops_what_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = parquet(folder.path());
    policy.rows = Some("User <> 'bob' AND JobStatus < 6".to_owned());
    let columns = read(policy).unwrap();
    assert_eq!(columns[0], some(&["ann", "ann", "eve", "ann"]));
    assert_eq!(columns[1], some(&["0", "3", "4", "5"]));
}

#[test]
fn a_row_filter_that_changes_its_mind_or_names_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for rows in [
        "random() < 0.5",
        "1 = 1",
        "Nobody = 1",
        "JobStatus + 1",
        "jobstatus = 1",
        "JobStatus =",
        // The clock: two shards of one answer, or a count and its use, would see different rows.
        "JobStatus < date_part('year', now())",
        "JobStatus < date_part('year', current_date)",
        "User = 'ann' AND uuid() <> User",
        // What reads more than the row.
        "JobStatus = (SELECT 4)",
        "JobStatus IN (SELECT 4)",
        "EXISTS (SELECT 1) AND JobStatus = 4",
        "max(JobStatus) = 4",
        "row_number() OVER (ORDER BY JobStatus) = 4",
    ] {
        let mut policy = parquet(folder.path());
        policy.rows = Some(rows.to_owned());
        assert_eq!(read(policy).unwrap_err().code(), Code::Policy, "{rows}");
    }
}

#[test]
fn what_is_wrong_with_a_row_filter_is_said_in_one_plain_line() {
    let folder = tempfile::tempdir().unwrap();
    for (rows, expected) in [
        ("jobstatus = 1", "the data has no column `jobstatus`; did you mean `JobStatus`?"),
        ("Nobody = 1", "the data has no column `Nobody`"),
        ("JobStatus IN (1, 2", "Expected: ), found: EOF"),
    ] {
        let mut policy = parquet(folder.path());
        policy.rows = Some(rows.to_owned());
        let chain = read(policy).unwrap_err().chain();
        assert_eq!(chain, format!("`rows` of dataset `jobs`: {expected}"));
    }
}

#[test]
fn a_failing_row_filter_does_not_quote_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = parquet(folder.path());
    policy.rows = Some("CAST(User AS BIGINT) = 1".to_owned());
    let refused = read(policy).unwrap_err();
    assert_eq!(refused.code(), Code::SourceValue);
    assert!(!refused.chain().contains("ann"), "{}", refused.chain());
}

#[test]
fn rows_with_null_are_suppressed_when_the_policy_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = parquet(folder.path());
    policy.nulls = Nulls::SuppressRow;
    let columns = read(policy).unwrap();
    assert_eq!(columns[0], some(&["ann", "bob", "ann", "eve", "ann"]));
}

#[test]
fn a_row_whose_list_misses_an_element_is_suppressed_where_the_rule_is_for_elements() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("n1"), Some("n2")]);
    lists.append_value([Some("n1"), None]);
    lists.append_null();
    lists.append_value(std::iter::empty::<Option<&str>>());
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let nodes: ArrayRef = Arc::new(lists.finish());
    let batch = RecordBatch::try_from_iter([("Id", id), ("Nodes", nodes)]).unwrap();
    let file = fs::File::create(folder.path().join("jobs.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let source = Source::Parquet { paths: vec!["jobs.parquet".to_owned()] };
    let mut suppressing = policy(folder.path(), source, &["Id", "Nodes"]);
    suppressing.nulls = Nulls::SuppressRow;
    // Kept as it is, a list is there or not; under a rule for its elements, so is each of them.
    assert_eq!(read(suppressing.clone()).unwrap()[0], some(&["1", "2", "4"]));
    let transform = find("pseudonym", Some("hmac")).unwrap();
    suppressing.columns[1].rule = Rule { transform, args: Args::defaults(transform.spec().params) };
    assert_eq!(read(suppressing).unwrap()[0], some(&["1", "4"]));
}

#[test]
fn a_truncated_file_and_a_changed_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let policy = parquet(folder.path());
    let path = folder.path().join("jobs.parquet");
    let before = snapshot(&policy, 4).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert!(!before.is_current());
    assert_eq!(snapshot(&policy, 4).unwrap_err().code(), Code::SourceUnreadable);
    let reading = before.pieces().next().map(|piece| Reader::open(piece, &["User".to_owned()], 8));
    assert_eq!(reading.unwrap().err().unwrap().code(), Code::SourceUnreadable);
    fs::remove_file(&path).unwrap();
    assert_eq!(snapshot(&policy, 4).unwrap_err().code(), Code::SourceUnreadable);
}

#[test]
fn equal_files_have_equal_versions_wherever_they_lie() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let version = |folder: &Path| snapshot(&parquet(folder), 4).unwrap().version().to_owned();
    assert_eq!(version(one.path()), version(two.path()));
    let path = two.path().join("jobs.txt");
    fs::write(&path, "ann|1|\n").unwrap();
    let policy = policy(two.path(), text(&[], false, None), &["User", "Cpus", "Start"]);
    let before = snapshot(&policy, 4).unwrap().version().to_owned();
    fs::write(&path, "bob|1|\n").unwrap();
    assert_ne!(snapshot(&policy, 4).unwrap().version(), before);
}

#[test]
fn files_that_differ_in_their_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let policy = parquet(folder.path());
    let other =
        RecordBatch::try_from_iter([("User", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let file = fs::File::create(folder.path().join("other.parquet")).unwrap();
    let other = other.unwrap();
    let mut writer = ArrowWriter::try_new(file, other.schema(), None).unwrap();
    writer.write(&other).unwrap();
    writer.close().unwrap();
    assert_eq!(snapshot(&policy, 4).unwrap_err().code(), Code::SchemaDrift);
}

/// One row group of numbers, without statistics: two such files of equal length have equal footers.
fn write_numbers(path: &Path, numbers: &[i64]) {
    let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let batch = RecordBatch::try_from_iter([("JobStatus", column)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn what_was_learned_is_not_used_for_a_file_that_changed_behind_an_equal_footer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.parquet");
    let source = Source::Parquet { paths: vec![path.display().to_string()] };
    let policy = policy(folder.path(), source, &["JobStatus"]);
    write_numbers(&path, &[1, 1, 1]);
    let before = snapshot(&policy, 4).unwrap();
    write_numbers(&path, &[1, 1, 7]);
    let after = snapshot(&policy, 4).unwrap();
    assert_eq!(before.version(), after.version(), "the footers differ; the test shows nothing");
    assert_ne!(before.moment(), after.moment());
    assert_eq!(snapshot(&policy, 4).unwrap().moment(), after.moment());
}

#[test]
fn a_ticket_for_one_cut_into_shards_does_not_fit_another() {
    let folder = tempfile::tempdir().unwrap();
    let policy = parquet(folder.path());
    let version = |shards_max| snapshot(&policy, shards_max).unwrap().version().to_owned();
    assert_ne!(version(1), version(2));
    assert_eq!(version(2), version(2));
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let field = |kind| Field::new("User", kind, false);
    let schema = Arc::new(Schema::new(vec![field(DataType::Int64), field(DataType::Utf8)]));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["SECRET"]))];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let path = folder.path().join("jobs.parquet");
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let source = Source::Parquet { paths: vec![path.display().to_string()] };
    let refused = read(policy(folder.path(), source, &["User"])).unwrap_err();
    assert_eq!(refused.code(), Code::SchemaDrift);
}

#[test]
fn wide_rows_are_read_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.parquet");
    // 600 texts of 256 KiB: 150 MiB in memory, next to nothing in the file.
    let texts = (0..600).map(|row| format!("{row}{}", "x".repeat(256 << 10)));
    let batch = RecordBatch::try_from_iter([
        ("User", Arc::new(StringArray::from_iter_values(texts)) as ArrayRef),
        ("JobStatus", Arc::new(Int64Array::from_iter_values(0..600)) as ArrayRef),
    ])
    .unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY)
        .build();
    let file = fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let source = Source::Parquet { paths: vec![path.display().to_string()] };
    let snapshot = snapshot(&policy(folder.path(), source, &["User", "JobStatus"]), 4).unwrap();
    let rows = |column: &str| -> Vec<usize> {
        let piece = snapshot.pieces().next().unwrap();
        let reader = Reader::open(piece, &[column.to_owned()], BATCH_ROWS).unwrap();
        reader.map(|batch| batch.unwrap().num_rows()).collect()
    };
    let wide = rows("User");
    assert_eq!(wide.iter().sum::<usize>(), 600);
    assert!(wide.iter().all(|rows| *rows <= 256), "{wide:?}");
    assert_eq!(rows("JobStatus"), [600]);
}

#[test]
fn a_file_without_rows_gives_none_and_one_without_columns_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    write_numbers(&folder.path().join("jobs.parquet"), &[]);
    let source = Source::Parquet { paths: vec![folder.path().display().to_string()] };
    let none = read(policy(folder.path(), source.clone(), &["JobStatus"])).unwrap();
    assert_eq!(none, vec![Vec::<Option<String>>::new()]);
    let schema = Arc::new(Schema::empty());
    let file = fs::File::create(folder.path().join("jobs.parquet")).unwrap();
    ArrowWriter::try_new(file, schema, None).unwrap().close().unwrap();
    let refused = read(policy(folder.path(), source, &["JobStatus"])).unwrap_err();
    assert_eq!(refused.code(), Code::SchemaDrift);
}

#[test]
fn wide_lines_are_read_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{}|4|\n", "x".repeat(128 << 10));
    fs::write(folder.path().join("jobs.txt"), line.repeat(600)).unwrap();
    let source = text(&[], false, None);
    let snapshot = snapshot(&policy(folder.path(), source, &["User", "Cpus", "Start"]), 4).unwrap();
    let piece = snapshot.pieces().next().unwrap();
    let reader = Reader::open(piece, &["User".to_owned()], BATCH_ROWS).unwrap();
    let rows: Vec<usize> = reader.map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(rows.iter().sum::<usize>(), 600);
    assert!(rows.iter().all(|rows| *rows <= 256), "{rows:?}");
}

#[test]
fn intervals_of_a_unit_that_the_file_does_not_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.parquet");
    let column: ArrayRef = Arc::new(arrow::array::IntervalYearMonthArray::from(vec![Some(14)]));
    let batch = RecordBatch::try_from_iter([("Since", column)]).unwrap();
    let source = Source::Parquet { paths: vec![path.display().to_string()] };
    let policy = policy(folder.path(), source, &["Since"]);
    let write = |told: bool| {
        let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new();
        let options = options.with_skip_arrow_metadata(!told);
        let file = fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        snapshot(&policy, 1)
    };
    assert!(write(true).is_ok());
    let refused = write(false).unwrap_err();
    assert_eq!(refused.code(), Code::SourceUnreadable);
    assert!(refused.to_string().contains("`Since`"), "{refused}");
}

/// A column of bytes that parquet calls JSON: text to us, which the library does not check.
fn write_json(path: &Path, values: &[&[u8]]) {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let schema = parse_message_type("message m { required binary Note (JSON); }").unwrap();
    let file = fs::File::create(path).unwrap();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = values.iter().map(|value| ByteArray::from(value.to_vec())).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn json_is_read_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.parquet");
    write_json(&path, &[b"{}", b"[1]", b"{}"]);
    let source = Source::Parquet { paths: vec![path.display().to_string()] };
    let policy = policy(folder.path(), source, &["Note"]);
    let snapshot = snapshot(&policy, 1).unwrap();
    let piece = snapshot.pieces().next().unwrap();
    let reader = Reader::open(piece, &["Note".to_owned()], BATCH_ROWS).unwrap();
    assert!(matches!(&reader, Reader::Parquet { unchecked, .. } if unchecked == &["Note"]));
    let read: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    let expected: ArrayRef = Arc::new(StringArray::from(vec!["{}", "[1]", "{}"]));
    assert_eq!(read[0].column(0), &expected);
}
