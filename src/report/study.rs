//! One dataset as one partner gets it, while a report is made of it: statements, rows one by one, columns by
//! role, and what to say when a role has none. Writes nothing.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use serde_json::Value;

use super::cell::values;
use super::progress::Watch;
use super::released::{Answer, Released};
use super::roles::{Role, Roles, unknown_column};
use crate::error::{Code, Error, Result};

/// The dataset under study.
#[derive(Debug)]
pub struct Study<'a> {
    released: &'a dyn Released,
    dataset: String,
    schema: SchemaRef,
    roles: Roles,
    withheld: Vec<String>,
    progress: &'a dyn Watch,
}

impl<'a> Study<'a> {
    /// Opens a dataset. `withheld` names the columns that its policy drops, `said` the roles that the custodian
    /// gives columns.
    ///
    /// # Errors
    /// When it cannot be served to the partner, or a role cannot be had.
    pub fn open(
        released: &'a dyn Released,
        dataset: &str,
        withheld: Vec<String>,
        said: &[String],
        progress: &'a dyn Watch,
    ) -> Result<Self> {
        let schema = released.schema()?;
        let roles = Roles::find(&schema, said)?;
        Ok(Self { released, dataset: dataset.to_owned(), schema, roles, withheld, progress })
    }

    /// The dataset's name.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The columns that leave.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The names of the columns that leave.
    pub fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// How the reading is shown.
    pub const fn progress(&self) -> &'a dyn Watch {
        self.progress
    }

    /// The column of a role.
    pub fn column(&self, role: Role) -> Option<&str> {
        self.roles.column(role)
    }

    /// The column of a role, or why there is none.
    ///
    /// # Errors
    /// The sentence for the reader of the report.
    pub fn need(&self, role: Role) -> Result<&str, String> {
        self.column(role).ok_or_else(|| self.missing(role))
    }

    /// What a report says of a role without a column.
    ///
    /// PRIVACY: the report goes to the partner, who does not learn the names of columns that stay behind; the
    /// custodian hears them on the command line ([`Self::advice`]).
    pub fn missing(&self, role: Role) -> String {
        let noun = role.noun();
        match self.withheld(role) {
            Some(_) => format!(
                "There is nothing on {noun}: the policy drops it. A rule such as `{}` would release it.",
                role.rule()
            ),
            None => format!(
                "There is nothing on {noun}: no released column is known as such. `--column {}=NAME` names one.",
                role.word()
            ),
        }
    }

    /// What the custodian may want to do about a role that the policy withholds.
    pub fn advice(&self, role: Role) -> Option<String> {
        let column = self.withheld(role)?;
        let (noun, rule) = (role.noun(), role.rule());
        Some(format!(
            "{noun} is in `{column}`, which the policy drops; `{column}: {rule}` releases it"
        ))
    }

    fn withheld(&self, role: Role) -> Option<&str> {
        match self.column(role) {
            Some(_) => None,
            None => role.named(self.withheld.iter().map(String::as_str)),
        }
    }

    /// A column by its name.
    ///
    /// # Errors
    /// [`Code::Usage`] when it is not released, with what is near.
    pub fn named(&self, name: &str) -> Result<&str> {
        match self.schema.field_with_name(name) {
            Ok(field) => Ok(field.name()),
            Err(_) => Err(unknown_column(&self.schema, name)),
        }
    }

    /// The type of a column.
    pub fn kind(&self, name: &str) -> Option<&DataType> {
        self.schema.field_with_name(name).ok().map(arrow::datatypes::Field::data_type)
    }

    /// What was done to a column, such as `pseudonym.token`.
    pub fn protection(&self, name: &str) -> &str {
        let field = self.schema.field_with_name(name).ok();
        field.and_then(|field| field.metadata().get(super::roles::PROTECTION)).map_or("", |it| it)
    }

    /// The dataset's name as SQL has it.
    pub fn table(&self) -> String {
        quoted(&self.dataset)
    }

    /// All rows.
    ///
    /// # Errors
    /// When they cannot be pulled.
    pub fn pull(&self) -> Result<Answer> {
        self.released.pull()
    }

    /// The answer to a statement, batch by batch.
    ///
    /// # Errors
    /// When it is refused or fails.
    pub fn query(&self, sql: &str) -> Result<Answer> {
        self.released.query(sql)
    }

    /// Hands on the rows of an answer one by one.
    ///
    /// # Errors
    /// When the answer or `take` fails.
    pub fn rows(
        &self,
        answer: Answer,
        mut take: impl FnMut(Vec<Value>) -> Result<()>,
    ) -> Result<()> {
        for batch in answer {
            let batch = batch?;
            for row in rows_of(&batch)? {
                take(row)?;
            }
            self.progress.rows(batch.num_rows() as u64);
        }
        Ok(())
    }

    /// Hands on the rows of a statement with `N` columns.
    ///
    /// # Errors
    /// As [`Self::query`] and [`Self::rows`].
    pub fn each<const N: usize>(
        &self,
        sql: &str,
        mut take: impl FnMut([Value; N]) -> Result<()>,
    ) -> Result<()> {
        self.rows(self.query(sql)?, |row| {
            let row = <[Value; N]>::try_from(row).map_err(|row| {
                let what = format!("an answer has {} columns, not {N}", row.len());
                Error::new(Code::Internal, what)
            })?;
            take(row)
        })
    }
}

/// The rows of a batch.
fn rows_of(batch: &RecordBatch) -> Result<impl Iterator<Item = Vec<Value>> + use<>> {
    let columns: Vec<_> = batch.columns().iter().map(values).collect::<Result<_>>()?;
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    Ok((0..batch.num_rows())
        .map(move |_| columns.iter_mut().map(|c| c.next().unwrap_or(Value::Null)).collect()))
}

/// A name as SQL has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A count that a statement gave.
pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// One number as a share of another; null where there is nothing to share.
pub fn share(part: u64, whole: u64) -> Value {
    match whole {
        0 => Value::Null,
        whole => super::cell::number(part as f64 / whole as f64),
    }
}
