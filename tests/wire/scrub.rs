//! Text under `scrub`, pulled by a client: it joins with the column it learned from, and nothing that was
//! learned is left in any byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;

use crate::site::{Site, folder, info, ticket, with_token, write_policy};

const POLICY: &str = "\
version: 1
dataset: texts
source: {parquet: texts/}
columns:
  Cmd: {scrub: {learn_from: [User, Group]}}
  User: {pseudonym: {method: token, prefix: user_}}
  Group: drop
grants:
  - {partner: cern, access: rows}
";

const ROWS: usize = 500;

fn write(folder: &std::path::Path) {
    let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new((0..ROWS).map(|row| Some(text(row))).collect::<StringArray>())
    };
    // The user of a row is named in its own text and in that of the next.
    let user = |row: usize| format!("canary{:03}", row % 50);
    let batch = RecordBatch::try_from_iter([
        ("User", texts(&|row| format!("{}@x.org", user(row)))),
        (
            "Cmd",
            texts(&|row| {
                format!(
                    "/exp/{0}/run --by {1} -g CanaryGroup{2}",
                    user(row),
                    user(row + 1).to_uppercase(),
                    row % 3
                )
            }),
        ),
        ("Group", texts(&|row| format!("canarygroup{}", row % 3))),
    ])
    .unwrap();
    let path = folder.join("policies/texts");
    std::fs::create_dir(&path).unwrap();
    let file = std::fs::File::create(path.join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn scrubbed_text_joins_with_the_column_it_learned_from_and_holds_nothing_of_it() {
    let folder = folder();
    write_policy(folder.path(), "texts.yaml", POLICY);
    write(folder.path());
    let site = Site::start_with(folder, &[]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "texts").await.unwrap();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut rows = 0;
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(&token, ticket(&info, endpoint))).await.unwrap();
        let messages: Vec<_> = stream.into_inner().try_collect().await.unwrap();
        for message in &messages {
            for bytes in [&message.data_body, &message.data_header, &message.app_metadata] {
                let small = bytes.to_ascii_lowercase();
                assert!(
                    !small.windows(6).any(|window| window == b"canary"),
                    "a learned value left"
                );
            }
        }
        let decoded = FlightRecordBatchStream::new_from_flight_data(futures::stream::iter(
            messages.into_iter().map(Ok),
        ));
        for batch in decoded.try_collect::<Vec<_>>().await.unwrap() {
            let column =
                |name: &str| cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
            let (users, texts) = (column("User"), column("Cmd"));
            for (user, text) in users.as_string::<i32>().iter().zip(texts.as_string::<i32>()) {
                let (user, text) = (user.unwrap(), text.unwrap());
                let rest = text.strip_prefix(&format!("/exp/{user}/run --by user_")).unwrap();
                let (next, group) = rest.split_once(" -g ").unwrap();
                assert_eq!(group, "<removed>");
                // The same user is followed by the same one everywhere.
                let next = format!("user_{next}");
                assert_eq!(seen.entry(user.to_owned()).or_insert_with(|| next.clone()), &next);
                rows += 1;
            }
        }
    }
    assert_eq!((rows, seen.len()), (ROWS, 50));
    let followed: std::collections::BTreeSet<&String> = seen.values().collect();
    assert!(followed.into_iter().eq(seen.keys()), "every one follows one");
    site.stop().await;
}
