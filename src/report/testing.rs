//! Small tables that reports are tested on: statements are answered by the engine over rows that are written
//! down. No policy, no file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::folder::Folder;
use super::progress::Unseen;
use super::released::{Answer, Released};
use super::roles::PROTECTION;
use super::study::Study;
use super::write::{Format, Meta};
use super::{Output, Report};
use crate::error::{Code, Context, Result};
use crate::policy::explain::Explanation;

/// A dataset `jobs` that is written down.
#[derive(Debug)]
pub(super) struct Written {
    batch: RecordBatch,
}

/// A column of texts; `~` is null.
pub(super) fn texts(values: &[&str]) -> ArrayRef {
    let values = values.iter().map(|value| (*value != "~").then_some(*value));
    Arc::new(StringArray::from_iter(values))
}

impl Written {
    pub(super) fn new(columns: Vec<(&str, ArrayRef)>) -> Self {
        Self {
            batch: RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
            .unwrap(),
        }
    }

    /// The same, with what was done to a column.
    pub(super) fn protected(mut self, column: &str, how: &str) -> Self {
        let fields = self
            .batch
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let field = field.as_ref().clone();
                match field.name() == column {
                    true => field.with_metadata([(PROTECTION.to_owned(), how.to_owned())].into()),
                    false => field,
                }
            })
            .collect::<Vec<_>>();
        self.batch = self.batch.with_schema(Arc::new(Schema::new(fields))).unwrap();
        self
    }

    fn answer(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let failed = || format!("the statement fails: {sql}");
        runtime.block_on(async {
            let context = SessionContext::new();
            let table = MemTable::try_new(self.batch.schema(), vec![vec![self.batch.clone()]]);
            context.register_table("jobs", Arc::new(table.unwrap())).unwrap();
            let frame = context.sql(sql).await.context(Code::SqlInvalid, failed)?;
            frame.collect().await.context(Code::QueryFailed, failed)
        })
    }

    /// Makes a report of it; gives whether all was found, and the files.
    pub(super) fn report(&self, report: &Report) -> (bool, Made) {
        self.report_with(report, &[], &[])
    }

    /// The same, with roles that are said and columns that stay behind.
    pub(super) fn report_with(
        &self,
        report: &Report,
        said: &[&str],
        withheld: &[&str],
    ) -> (bool, Made) {
        let place = tempfile::tempdir().unwrap();
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let study = Study::open(self, "jobs", names(withheld), &names(said), &Unseen).unwrap();
        let mut folder = Folder::open(place.path(), false).unwrap();
        let meta = meta();
        let mut output = Output { folder: &mut folder, formats: Format::ALL, meta: &meta };
        let found = report.run(&study, &mut output).unwrap();
        let files = folder.done().to_vec();
        (found, Made { place, files })
    }
}

impl Released for Written {
    fn schema(&self) -> Result<SchemaRef> {
        Ok(self.batch.schema())
    }

    fn query(&self, sql: &str) -> Result<Answer> {
        Ok(Box::new(self.answer(sql)?.into_iter().map(Ok)))
    }

    fn pull(&self) -> Result<Answer> {
        Ok(Box::new([Ok(self.batch.clone())].into_iter()))
    }
}

/// What a report made.
pub(super) struct Made {
    pub(super) place: tempfile::TempDir,
    pub(super) files: Vec<String>,
}

impl Made {
    pub(super) fn text(&self, name: &str) -> String {
        let path = self.place.path().join(name);
        std::fs::read_to_string(path)
            .unwrap_or_else(|_| panic!("{name}: there are {:?}", self.files))
    }

    pub(super) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

/// What stands beside every report here.
pub(super) fn meta() -> Meta {
    Meta {
        partner: "cern".to_owned(),
        version: Some("v1".to_owned()),
        when: "2027-01-15T08:00:00Z".to_owned(),
        policy: Explanation {
            dataset: "jobs".to_owned(),
            description: "Jobs".to_owned(),
            partner: Some("cern".to_owned()),
            digest: "d".repeat(64),
            grants: Vec::new(),
            general: vec!["All rows leave.".to_owned()],
            columns: Vec::new(),
            views: Vec::new(),
            withheld: Vec::new(),
            noisy: false,
            expected: Vec::new(),
        },
    }
}
