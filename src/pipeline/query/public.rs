//! Public tables of policies, as statements read them: loaded when they are first asked, kept as long as their
//! content is the one that the policy was loaded with. Joins nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Statement;
use super::hint;
use super::joined::Index;
use super::listing::{Listing, Lists};
use super::logical::Table;
use super::view::as_seen;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::column::canonical;
use crate::policy::Policy;
use crate::policy::load::Loaded;
use crate::policy::problem::{Problem, Problems};
use crate::policy::public::bytes;

/// How many rows a public table may have.
const ROWS_MAX: usize = 1_000_000;
/// How much memory one may take.
const MEMORY_MAX: usize = 256 << 20;

/// The key of a field's metadata that says how its column is protected, and what it says of public ones.
const PROTECTION: (&str, &str) = ("veilflight.protection", "public");

/// A public table: of a policy's, or of the values that a policy calls public.
#[derive(Debug)]
pub(in crate::pipeline) struct Public {
    /// Its name in the schema of its dataset.
    pub(in crate::pipeline) name: String,
    /// All of it, in the types that the engine sees.
    pub(in crate::pipeline) rows: RecordBatch,
    /// What it was joined by last: a statement is looked at more than once, and the next one often joins alike.
    indexed: Mutex<Option<Arc<Index>>>,
    /// Groups by its columns, as they were listed lately.
    lists: Lists,
}

impl Public {
    /// A table of what a file holds.
    ///
    /// # Errors
    /// What is wrong with it, in lower case, without a full stop.
    fn read(name: &str, bytes: Vec<u8>) -> Result<Self, String> {
        let not = |what: String| format!("cannot be read as parquet: {what}");
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| not(error.to_string()))?;
        let schema = arrow::array::RecordBatchReader::schema(&reader);
        let (mut batches, mut rows, mut memory) = (Vec::new(), 0, 0);
        for batch in reader {
            let batch = batch.map_err(|error| not(error.to_string()))?;
            rows += batch.num_rows();
            memory += batch.get_array_memory_size();
            if rows > ROWS_MAX || memory > MEMORY_MAX {
                return Err(format!(
                    "is too large: a public table has at most {ROWS_MAX} rows and takes {} MiB of memory",
                    MEMORY_MAX >> 20
                ));
            }
            batches.push(batch);
        }
        let all = concat_batches(&schema, &batches).map_err(|error| not(error.to_string()))?;
        Self::of(name, &all)
    }

    /// A table of these rows.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(in crate::pipeline) fn of(name: &str, rows: &RecordBatch) -> Result<Self, String> {
        let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            if fields.iter().any(|other: &Field| other.name() == field.name()) {
                return Err(format!("has the column `{}` twice", field.name()));
            }
            let plain = Field::new(field.name(), canonical(field.data_type()), true);
            let seen = as_seen(&plain);
            let failed =
                |_| format!("has the column `{}`, of a type that cannot be used", field.name());
            let column = cast(column, plain.data_type());
            columns.push(column.and_then(|it| cast(&it, seen.data_type())).map_err(failed)?);
            let told = [(PROTECTION.0.to_owned(), PROTECTION.1.to_owned())];
            fields.push(seen.with_metadata(told.into()));
        }
        if fields.is_empty() {
            return Err("has no columns".to_owned());
        }
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new(schema, columns).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), rows, indexed: Mutex::default(), lists: Lists::default() })
    }

    /// Its columns, as the engine sees them.
    pub(in crate::pipeline) fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// Its rows by these columns, each in a type.
    ///
    /// # Errors
    /// Those of [`Index::new`].
    pub(super) fn index(&self, by: Vec<(String, DataType)>) -> Result<Arc<Index>> {
        let lock = || self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = lock().as_ref().filter(|last| last.by == by) {
            return Ok(Arc::clone(last));
        }
        let index = Arc::new(Index::new(&self.rows, by)?);
        *lock() = Some(Arc::clone(&index));
        Ok(index)
    }

    /// The list of groups of this text, of this table and of others. See [`Lists::list`].
    ///
    /// # Errors
    /// What `make` says.
    pub(in crate::pipeline) fn list(
        &self,
        text: &str,
        others: &[Arc<Self>],
        make: impl FnOnce() -> Result<Arc<Listing>>,
    ) -> Result<Arc<Listing>> {
        self.lists.list(text, others, make)
    }

    /// All of it as a table that runs.
    ///
    /// # Errors
    /// [`Code::Internal`].
    pub(super) fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let table = MemTable::try_new(self.schema(), vec![vec![self.rows.clone()]]);
        let table = table.context(Code::Internal, || "a public table is no table".to_owned())?;
        Ok(Arc::new(table))
    }
}

/// The public tables that were asked, by dataset and name.
#[derive(Debug, Default)]
pub(super) struct Publics(Mutex<BTreeMap<(String, String), Kept>>);

/// A public table, and the digest of the file that it was read from.
#[derive(Debug)]
struct Kept {
    content: String,
    table: Arc<Public>,
}

impl Publics {
    /// A public table of a policy. Reads the file where it was not asked before: not for an async task.
    ///
    /// INVARIANT: it holds what the policy's digest says, by which stored answers are found, whatever became
    /// of the file since.
    ///
    /// # Errors
    /// [`Code::DatasetUnavailable`] where the file is not what it was, or no table.
    pub(super) fn table(&self, policy: &Policy, name: &str) -> Result<Option<Arc<Public>>> {
        let Some(known) = policy.public_table(name) else { return Ok(None) };
        let key = (policy.dataset.clone(), name.to_owned());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(&key).filter(|kept| kept.content == known.content) {
            return Ok(Some(Arc::clone(&kept.table)));
        }
        let unavailable = |what: String| {
            let text = format!("the public table `{name}` of `{}` {what}", policy.dataset);
            Error::new(Code::DatasetUnavailable, text)
        };
        let (bytes, content) = bytes(&policy.folder().join(&known.path)).map_err(unavailable)?;
        if content != known.content {
            return Err(unavailable("changed since the policy was loaded".to_owned()));
        }
        let table = Arc::new(Public::read(name, bytes).map_err(unavailable)?);
        lock().insert(key, Kept { content, table: Arc::clone(&table) });
        Ok(Some(table))
    }

    /// Gives tables the public ones that a statement names of their datasets.
    ///
    /// # Errors
    /// Those of [`Self::table`].
    pub(super) fn fill(&self, tables: &mut [Table], statement: &Statement) -> Result<()> {
        for table in tables {
            let policy = Arc::clone(table.plan.policy());
            for (schema, name) in statement.publics() {
                if *schema == policy.dataset {
                    table.publics.extend(self.table(&policy, name)?);
                }
            }
        }
        Ok(())
    }
}

/// There is no such public table. What the partner may not know looks the same.
pub(super) fn no_public<'a>(
    (schema, name): &(String, String),
    policies: impl Iterator<Item = &'a Policy>,
) -> Error {
    let written = format!("{schema}.{name}");
    let mut known = Vec::new();
    for policy in policies {
        let all = policy.public_tables.iter();
        known.extend(all.map(|table| format!("{}.{}", policy.dataset, table.name)));
    }
    let mut text = format!("there is no table `{}`", hint::short(&written));
    if let Some(near) = did_you_mean(&written, known.iter().map(String::as_str)) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    hint::error(Code::SqlInvalid, &text)
}

/// The public tables that are no tables, as problems with their places in the file.
pub fn check_public(loaded: &Loaded) -> Vec<Diagnostic> {
    let Loaded { policy, places, .. } = loaded;
    let mut problems = Problems::new(Arc::clone(&places.file));
    for (table, span) in policy.public_tables.iter().zip(&places.public_tables) {
        let read = bytes(&policy.folder().join(&table.path));
        if let Err(reason) = read.and_then(|(bytes, _)| Public::read(&table.name, bytes)) {
            let message = format!("the public table `{}` {reason}", table.path);
            problems.add(Problem::DataUnreadable, *span, message);
        }
    }
    problems.into_list()
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::policy::load::load;

    /// A folder with a policy of one public table that holds these sites.
    fn folder(sites: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, sites);
        let policy = "version: 1\ndataset: jobs\nsource: {parquet: jobs}\ncolumns: {User: keep}\n\
            public_tables: {sites: {parquet: sites.parquet}}\n\
            grants: [{partner: a, access: dp, epsilon: 1, unit: User, groups_max: 1, rows_max: 1}]\n";
        std::fs::write(folder.path().join("jobs.yaml"), policy).unwrap();
        folder
    }

    fn write(folder: &tempfile::TempDir, sites: &[&str]) {
        let column: ArrayRef = Arc::new(StringArray::from(sites.to_vec()));
        let batch = RecordBatch::try_from_iter([("site", column)]).unwrap();
        let file = std::fs::File::create(folder.path().join("sites.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    // INVARIANT: what is joined is what the policy's digest says.
    #[test]
    fn a_public_table_is_what_it_was_when_the_policy_was_loaded_or_is_not_read() {
        let folder = folder(&["A", "B"]);
        let policy = load(&folder.path().join("jobs.yaml")).unwrap().policy;
        let publics = Publics::default();
        let rows = |publics: &Publics, policy: &Policy| {
            publics.table(policy, "sites").map(|table| table.unwrap().rows.num_rows())
        };
        assert_eq!(rows(&publics, &policy).unwrap(), 2);
        assert!(publics.table(&policy, "nodes").unwrap().is_none());
        write(&folder, &["A", "B", "C"]);
        // What is known already stays; what is not is not taken from the new file.
        assert_eq!(rows(&publics, &policy).unwrap(), 2);
        let error = rows(&Publics::default(), &policy).unwrap_err();
        assert_eq!(error.code(), Code::DatasetUnavailable);
        let policy = load(&folder.path().join("jobs.yaml")).unwrap().policy;
        assert_eq!(rows(&publics, &policy).unwrap(), 3);
    }

    #[test]
    fn what_it_is_joined_by_is_sorted_once_and_other_columns_anew() {
        let sites: ArrayRef = Arc::new(StringArray::from(vec!["A", "B"]));
        let rows = [("site", Arc::clone(&sites)), ("region", sites)];
        let public = Public::of("sites", &RecordBatch::try_from_iter(rows).unwrap()).unwrap();
        let by = |name: &str, kind| public.index(vec![(name.to_owned(), kind)]).unwrap();
        let first = by("site", DataType::Utf8View);
        assert!(Arc::ptr_eq(&first, &by("site", DataType::Utf8View)));
        assert!(!Arc::ptr_eq(&first, &by("region", DataType::Utf8View)));
        assert!(!Arc::ptr_eq(&first, &by("site", DataType::Utf8)));
    }

    #[test]
    fn a_file_that_is_no_table_is_told_of_with_its_place() {
        let folder = folder(&["A"]);
        let checked = || check_public(&load(&folder.path().join("jobs.yaml")).unwrap());
        assert!(checked().is_empty());
        std::fs::write(folder.path().join("sites.parquet"), "no parquet").unwrap();
        let found = checked();
        assert_eq!((found.len(), found[0].code), (1, Problem::DataUnreadable.code()));
        assert!(found[0].span.is_some() && found[0].message.contains("sites.parquet"));
    }
}
