//! Bounded contributions over tables that are written down here: equal to a model that keeps everything in
//! maps, to plain SQL where no bound binds, the same whoever works at them, and close for neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionConfig;

use super::gathered;
use crate::error::Result;
use crate::keys::{ColumnKeys, KeyRing, Secret};
use crate::pipeline::noise::question::{Bounding, Counts, Key, Measure, Measured, Question, Value};
use crate::pipeline::query::Memory;
use crate::policy::privacy::{Accounting, Bounds, Loss};

mod choice;
mod long_keys;
mod model;
mod neighbours;

/// A row: who, where, and two values.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    unit: Option<u64>,
    site: Option<u8>,
    queue: i64,
    whole: Option<i64>,
    part: Option<f64>,
}

/// How rows are laid out, and with how much memory they are worked at.
#[derive(Debug, Clone, Copy)]
struct Layout {
    partitions: usize,
    batch: usize,
    memory: usize,
}

const PLAIN: Layout = Layout { partitions: 1, batch: 8192, memory: 1 << 30 };

fn site(number: u8) -> String {
    format!("a site with the number {number}")
}

fn batches(rows: &[Row], layout: Layout) -> (Arc<Schema>, Vec<Vec<RecordBatch>>) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("unit", DataType::UInt64, true),
        Field::new("site", DataType::Utf8View, true),
        Field::new("queue", DataType::Int64, true),
        Field::new("whole", DataType::Int64, true),
        Field::new("part", DataType::Float64, true),
    ]));
    let mut partitions = vec![Vec::new(); layout.partitions];
    for (at, rows) in rows.chunks(layout.batch).enumerate() {
        let sites = rows.iter().map(|row| row.site.map(site));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.unit).collect::<UInt64Array>()),
            Arc::new(sites.collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|row| Some(row.queue)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.whole).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.part).collect::<Float64Array>()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        partitions[at % layout.partitions].push(batch);
    }
    (schema, partitions)
}

fn state(layout: Layout) -> SessionState {
    let mut config = SessionConfig::new().with_batch_size(layout.batch);
    config.options_mut().execution.target_partitions = layout.partitions;
    let environment =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(Memory::new(layout.memory))).build_arc();
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment.unwrap())
        .with_default_features()
        .build()
}

/// What is asked, but for the rows.
#[derive(Debug, Clone)]
struct Asked {
    /// The lists of public values of sites and queues; the outer `None` where it is no key.
    sites: Option<Option<Vec<u8>>>,
    queues: Option<Option<Vec<i64>>>,
    whole: Bounds,
    part: Bounds,
    bounding: Bounding,
}

impl Asked {
    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if let Some(public) = &self.sites {
            let values = |values: &Vec<u8>| -> ArrayRef {
                Arc::new(StringViewArray::from_iter_values(values.iter().map(|at| site(*at))))
            };
            keys.push(Key { public: public.as_ref().map(values) });
        }
        if let Some(public) = &self.queues {
            let values =
                |values: &Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values.clone())) };
            keys.push(Key { public: public.as_ref().map(values) });
        }
        keys
    }

    fn measures(&self) -> Vec<Measure> {
        let mut measures = vec![Measure::Units, Measure::Rows];
        for (value, bounds) in [&self.whole, &self.part].into_iter().enumerate() {
            let (low, high) = bounds.steps();
            let center = low.midpoint(high);
            let grid: Vec<i64> = (0..=7).map(|at| low + (high - low) / 7 * at).collect();
            measures.extend([
                Measure::Count(value),
                Measure::Sum { value, center: 0 },
                Measure::Sum { value, center },
                Measure::Squares { value, center },
                Measure::Quantile { value, rank: (1, 2), grid: grid.into() },
            ]);
        }
        measures
    }

    fn question(&self, rows: &[Row], layout: Layout) -> Question {
        use datafusion::prelude::col;
        let (schema, partitions) = batches(rows, layout);
        let table = Arc::new(MemTable::try_new(schema, partitions).unwrap());
        let keys = self.keys();
        let columns = ["unit"]
            .into_iter()
            .chain(self.sites.as_ref().map(|_| "site"))
            .chain(self.queues.as_ref().map(|_| "queue"))
            .chain(["whole", "part"])
            .map(col);
        let rows = LogicalPlanBuilder::scan("jobs", provider_as_source(table), None)
            .and_then(|scan| scan.project(columns.collect::<Vec<_>>()))
            .and_then(LogicalPlanBuilder::build);
        let value = |name: &str, bounds: Bounds| Value { name: name.into(), bounds };
        Question {
            dataset: "jobs".into(),
            canonical: String::new(),
            rows: rows.unwrap(),
            measures: self.measures(),
            values: vec![value("whole", self.whole), value("part", self.part)],
            bounding: self.bounding,
            loss: Loss::default(),
            accounting: Accounting::Pure,
            keys,
        }
    }

    /// The answer, and how many bytes were spilled.
    fn exact(&self, rows: &[Row], layout: Layout) -> Result<(Counts, u64)> {
        counted(&self.question(rows, layout), layout)
    }

    /// The answer in words: a line a group, first its keys, then what was measured.
    fn answer(&self, rows: &[Row], layout: Layout) -> Answer {
        Answer::of(&self.exact(rows, layout).unwrap().0)
    }
}

/// The exact answer to a question, and how many bytes were spilled.
fn counted(question: &Question, layout: Layout) -> Result<(Counts, u64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let state = state(layout);
    let (exact, spilled) = runtime.block_on(async { gathered(question, &state, &keys()).await })?;
    Ok((exact.whole()?, spilled))
}

fn keys() -> ColumnKeys {
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([7; 32]))]).unwrap());
    ColumnKeys::new(ring, "sample:jobs", Some("cern"), 1)
}

/// By group, in their order: keys and, of each measure, one number or the cells.
#[derive(Debug, Clone, PartialEq)]
struct Answer(Vec<(Vec<String>, Vec<Vec<i128>>)>);

impl Answer {
    fn of(exact: &Counts) -> Self {
        let shown = |key: &ArrayRef, group: usize| {
            if key.is_null(group) {
                "null".to_owned()
            } else {
                arrow::util::display::array_value_to_string(key, group).unwrap()
            }
        };
        let group = |group: usize| {
            let measured = exact.measured.iter().map(|measured| match measured {
                Measured::Numbers(numbers) => {
                    assert_eq!(numbers.len(), exact.groups);
                    vec![numbers[group]]
                }
                Measured::Cells(cells) => {
                    assert_eq!(cells.len(), exact.groups);
                    cells[group].iter().map(|count| i128::from(*count)).collect()
                }
            });
            (exact.keys.iter().map(|key| shown(key, group)).collect(), measured.collect())
        };
        Self((0..exact.groups).map(group).collect())
    }

    fn by_key(self) -> BTreeMap<Vec<String>, Vec<Vec<i128>>> {
        self.0.into_iter().collect()
    }
}
