//! What the unit tests of transforms share: fixed keys, a token map in memory, a temporary folder, and
//! a run of learner and kernel the way the pipeline runs them. Only compiled for tests.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::column::{ColumnKernel, canonical, observed};
use super::elements::{Fit, bound, fit};
use super::{Bind, Counted, Learned, Neighbour, TokenMap, Transform};
use crate::error::Result;
use crate::keys::{ColumnKeys, KeyRing, Secret};
use crate::policy::Rule;
use crate::policy::args::{Args, Value};

/// A token map that forgets when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct MemoryTokens(Mutex<HashMap<String, HashMap<String, u64>>>);

impl TokenMap for MemoryTokens {
    fn numbers(&self, scope: &str, values: &[&str]) -> Result<Vec<u64>> {
        let mut scopes = self.0.lock().unwrap();
        let known = scopes.entry(scope.to_owned()).or_default();
        Ok(values
            .iter()
            .map(|&value| {
                let next = known.len() as u64 + 1;
                *known.entry(value.to_owned()).or_insert(next)
            })
            .collect())
    }

    fn count(&self, _scope: &str, _of: Counted<'_>, _rows: &[(u64, u64)]) -> Result<()> {
        Ok(())
    }
}

/// A column to bind to, with everything a kernel may ask for.
#[derive(Debug)]
pub(crate) struct Fixture {
    /// The column's name.
    pub(crate) column: String,
    /// The canonical type of the column.
    pub(crate) input: DataType,
    /// The canonical types of the columns that the transform reads.
    pub(crate) reads: Vec<DataType>,
    /// Keys from a fixed ring.
    pub(crate) keys: ColumnKeys,
    /// An empty map at first.
    pub(crate) tokens: Arc<dyn TokenMap>,
    /// What a learner found, once there was one.
    pub(crate) learned: Option<Learned>,
    /// Other columns with their own rules.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Removed with the fixture.
    pub(crate) folder: tempfile::TempDir,
    /// What the policy says of null.
    pub(crate) null_token: bool,
}

impl Fixture {
    /// A column of a raw type in the domain `person` of partner `cern`, epoch 1.
    pub(crate) fn new(column: &str, raw: &DataType) -> Self {
        Self {
            column: column.to_owned(),
            input: canonical(raw),
            reads: Vec::new(),
            keys: keys("domain:person", Some("cern")),
            tokens: Arc::new(MemoryTokens::default()),
            learned: None,
            neighbours: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            null_token: false,
        }
    }

    /// The same under other keys.
    pub(crate) fn with_keys(mut self, keys: ColumnKeys) -> Self {
        self.keys = keys;
        self
    }

    /// The same with other raw columns to read.
    pub(crate) fn with_reads(mut self, raw: &[DataType]) -> Self {
        self.reads = raw.iter().map(canonical).collect();
        self
    }

    /// The same with one more column to learn from, in a domain of its own name.
    pub(crate) fn with_neighbour(
        mut self,
        column: &str,
        raw: &DataType,
        transform: &'static dyn Transform,
        set: &[(&str, Value)],
    ) -> Self {
        self.neighbours.push(Neighbour {
            column: column.to_owned(),
            input: canonical(raw),
            rule: Rule { transform, args: args(transform, set) },
            keys: keys(&format!("domain:{column}"), Some("cern")),
        });
        self
    }

    /// The same where the policy says `nulls: token`.
    pub(crate) fn with_null_tokens(mut self) -> Self {
        self.null_token = true;
        self
    }

    /// The folder that relative paths start from.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a kernel is bound to.
    pub(crate) fn bind(&self) -> Bind<'_> {
        Bind {
            column: &self.column,
            input: &self.input,
            reads: &self.reads,
            keys: &self.keys,
            tokens: &self.tokens,
            learned: self.learned.as_ref(),
            neighbours: &self.neighbours,
            folder: self.folder.path(),
        }
    }

    /// The same, bound to the elements of lists where the transform is applied to each.
    fn bind_fit(&self, fit: &Fit) -> Bind<'_> {
        Bind { input: bound(&self.input, fit.by_element), ..self.bind() }
    }

    /// How the transform meets the column; as a whole where it is refused, for tests of kernels that no
    /// policy lets near such a column.
    fn fit(&self, transform: &dyn Transform, args: &Args) -> Fit {
        let whole = Fit { output: None, by_element: false };
        fit(transform, args, &self.input).unwrap_or(whole)
    }

    /// Runs the learner, where there is one, over all the batches.
    pub(crate) fn learn(
        &mut self,
        transform: &dyn Transform,
        args: &Args,
        batches: &[ArrayRef],
    ) -> Result<()> {
        let fit = self.fit(transform, args);
        if let Some(mut learner) = transform.learner(args, &self.bind_fit(&fit))? {
            for batch in batches {
                learner.observe(&observed(batch, fit.by_element)?, &[])?;
            }
            self.learned = Some(learner.finish()?);
        }
        Ok(())
    }

    /// The kernel with what surrounds it in the pipeline.
    pub(crate) fn kernel(&self, transform: &dyn Transform, args: &Args) -> Result<ColumnKernel> {
        let by_row = !transform.reads(args).is_empty();
        let null_token = self.null_token && transform.is_pseudonym();
        let fit = self.fit(transform, args);
        let item = match &fit.output {
            Some(DataType::List(item)) if fit.by_element => Some(item),
            _ => None,
        };
        let kernel = transform.kernel(args, &self.bind_fit(&fit))?;
        Ok(ColumnKernel::new(kernel, by_row, null_token).with_elements(item))
    }

    /// Learns from one raw column, then transforms it; checks the promised type and length.
    pub(crate) fn apply(
        &mut self,
        transform: &dyn Transform,
        args: &Args,
        raw: &ArrayRef,
        reads: &[ArrayRef],
    ) -> Result<ArrayRef> {
        let promised = self.fit(transform, args).output.unwrap();
        self.learn(transform, args, std::slice::from_ref(raw))?;
        let out = self.kernel(transform, args)?.apply(raw, reads)?;
        assert_eq!(canonical(out.data_type()), promised, "the promised type");
        assert_eq!(out.len(), raw.len(), "the same number of rows");
        Ok(out)
    }
}

/// Keys from a fixed ring of two epochs; the newest is used.
pub(crate) fn keys(domain: &str, audience: Option<&str>) -> ColumnKeys {
    let ring = KeyRing::new(vec![(0, Secret::new([7; 32])), (1, Secret::new([42; 32]))]).unwrap();
    ColumnKeys::new(Arc::new(ring), domain, audience, 1)
}

/// The defaults of a transform with some values set.
pub(crate) fn args(transform: &dyn Transform, set: &[(&str, Value)]) -> Args {
    set.iter().fold(Args::defaults(transform.spec().params), |args, (name, value)| {
        args.with(name, value.clone())
    })
}

/// One raw column through one transform.
pub(crate) fn try_apply(
    transform: &dyn Transform,
    set: &[(&str, Value)],
    raw: &ArrayRef,
) -> Result<ArrayRef> {
    let args = args(transform, set);
    Fixture::new("User", raw.data_type()).apply(transform, &args, raw, &[])
}

/// One raw column through one transform that may not fail.
pub(crate) fn apply(transform: &dyn Transform, set: &[(&str, Value)], raw: &ArrayRef) -> ArrayRef {
    try_apply(transform, set, raw).unwrap()
}

/// Texts through one transform, as texts.
pub(crate) fn apply_texts(
    transform: &dyn Transform,
    set: &[(&str, Value)],
    values: &[&str],
) -> Vec<String> {
    let out = texts(&apply(transform, set, &text(values)));
    out.into_iter().map(|value| value.unwrap_or_else(|| "(null)".to_owned())).collect()
}

/// A text column.
pub(crate) fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A text column with nulls.
pub(crate) fn text_or_null(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The same text as a dictionary.
pub(crate) fn dictionary(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<DictionaryArray<Int32Type>>())
}

/// The values of any array that has a text form, as texts.
pub(crate) fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    let array = cast(array, &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

/// A text parameter.
pub(crate) fn word(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A list of words as a parameter.
pub(crate) fn words(values: &[&str]) -> Value {
    Value::Texts(values.iter().map(|&value| value.to_owned()).collect())
}
