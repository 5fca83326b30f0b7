//! `array_agg` with all that it holds counted. The engine's own counts texts in views by sixteen bytes each,
//! however long they are, and not the copy that becomes the answer; a statement could so hold many times the
//! memory that queries share. Gathers nothing itself.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// The function by its name.
pub(super) const NAME: &str = "array_agg";

/// The function that stands in the place of the engine's.
pub(super) fn counted(function: &Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(ArrayAgg { inner: Arc::clone(function.inner()) }))
}

#[derive(Debug, Clone)]
struct ArrayAgg {
    inner: Arc<dyn AggregateUDFImpl>,
}

impl PartialEq for ArrayAgg {
    fn eq(&self, other: &Self) -> bool {
        *self.inner == *other.inner
    }
}

impl Eq for ArrayAgg {}

impl Hash for ArrayAgg {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
    }
}

impl AggregateUDFImpl for ArrayAgg {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.inner.return_type(kinds)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = Arc::clone(&self.inner).with_beneficial_ordering(beneficial)?;
        Ok(inner.map(|inner| Arc::new(Self { inner }) as _))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_expr() {
            ReversedUDAF::Reversed(function) => ReversedUDAF::Reversed(counted(&function)),
            other => other,
        }
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Gathered { inner: self.inner.accumulator(args)?, held: 0 }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Gathered { inner: self.inner.create_groups_accumulator(args)?, held: 0 }))
    }
}

/// What gathers, and the bytes of texts that it holds and does not count.
struct Gathered<T: ?Sized> {
    held: usize,
    inner: Box<T>,
}

impl<T: ?Sized> fmt::Debug for Gathered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").field("held", &self.held).finish_non_exhaustive()
    }
}

impl<T: ?Sized> Gathered<T> {
    fn hold(&mut self, values: &[ArrayRef]) {
        let more = values.iter().map(|array| texts_bytes(array)).fold(0, usize::saturating_add);
        self.held = self.held.saturating_add(more);
    }

    fn release(&mut self, values: &[ArrayRef]) {
        let less = values.iter().map(|array| texts_bytes(array)).fold(0, usize::saturating_add);
        self.held = self.held.saturating_sub(less);
    }

    /// INVARIANT: counts what is held, and as much again for the answer that it is copied into.
    fn counted(&self, inner: usize) -> usize {
        inner.saturating_add(self.held).saturating_mul(2)
    }
}

/// The bytes of texts that stand outside of views.
fn texts_bytes(array: &dyn Array) -> usize {
    let all = |arrays: &mut dyn Iterator<Item = &ArrayRef>| {
        arrays.map(|array| texts_bytes(array)).fold(0, usize::saturating_add)
    };
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        DataType::Struct(_) => all(&mut array.as_struct().columns().iter()),
        DataType::List(_) => texts_bytes(array.as_list::<i32>().values()),
        DataType::LargeList(_) => texts_bytes(array.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => texts_bytes(array.as_fixed_size_list().values()),
        _ => 0,
    }
}

impl Accumulator for Gathered<dyn Accumulator> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.hold(values);
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        self.counted(self.inner.size())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.hold(states);
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.release(values);
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

impl GroupsAccumulator for Gathered<dyn GroupsAccumulator> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.hold(values);
        self.inner.update_batch(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let answer = self.inner.evaluate(emit)?;
        self.emitted(emit, std::slice::from_ref(&answer));
        Ok(answer)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.inner.state(emit)?;
        self.emitted(emit, &states);
        Ok(states)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.hold(values);
        self.inner.merge_batch(values, groups, total)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.counted(self.inner.size())
    }
}

impl Gathered<dyn GroupsAccumulator> {
    /// What went on is not held any more.
    fn emitted(&mut self, emit: EmitTo, lists: &[ArrayRef]) {
        match emit {
            EmitTo::All => self.held = 0,
            EmitTo::First(_) => self.release(lists),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringViewArray};
    use datafusion::execution::SessionStateDefaults;

    use super::*;

    #[test]
    fn texts_outside_of_views_are_counted_wherever_they_stand() {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![
            Some("twelve bytes"),
            None,
            Some("thirteen bytes"),
        ]));
        assert_eq!(texts_bytes(&texts), 14);
        assert_eq!(texts_bytes(&texts.slice(0, 2)), 0);
        let fields = vec![arrow::datatypes::Field::new("a", DataType::Utf8View, true)];
        let parts = arrow::array::StructArray::new(fields.into(), vec![texts], None);
        assert_eq!(texts_bytes(&parts), 14);
        let numbers = Int64Array::from(vec![1]);
        assert_eq!(texts_bytes(&numbers), 0);
        let lists = ListArray::new_null(
            Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8View, true)),
            2,
        );
        assert_eq!(texts_bytes(&lists), 0);
    }

    #[test]
    fn the_engine_still_has_one_such_function_to_stand_for() {
        let all = SessionStateDefaults::default_aggregate_functions();
        let own = all.iter().find(|function| function.name() == NAME).unwrap();
        let ours = counted(own);
        assert_eq!(ours.name(), NAME);
        assert_eq!(ours.signature(), own.signature());
        assert_ne!(&ours, own);
        assert_eq!(ours, counted(own));
        assert!(own.inner().aliases().is_empty(), "an alias would be the engine's own");
    }
}
