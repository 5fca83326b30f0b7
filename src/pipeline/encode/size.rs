//! About how many bytes the rows of an array take in a message of plain types, by which messages are cut.
//! The same for the same data; never exact.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

/// About how many bytes a row of a column takes, in plain form.
pub(in crate::pipeline) fn row_bytes(column: &ArrayRef) -> usize {
    let kind = column.data_type();
    if let DataType::Dictionary(_, value) = kind {
        let values = column.as_any_dictionary_opt().map(|dictionary| dictionary.values());
        return values.filter(|values| !values.is_empty()).map_or(4, |values| {
            let text = if value.is_primitive() { 0 } else { 4 };
            text + bytes(values).div_ceil(values.len())
        });
    }
    match kind.primitive_width() {
        Some(width) => width,
        None if column.is_empty() => 1,
        None => bytes(column).div_ceil(column.len()).max(1),
    }
}

/// About how many bytes all rows take.
fn bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        // The buffers of views may hold much that no row shows, or much that many rows do.
        DataType::Utf8View => {
            array.as_string_view_opt().map_or(0, |texts| shown(texts.views())) + 4 * array.len()
        }
        DataType::BinaryView => {
            array.as_binary_view_opt().map_or(0, |texts| shown(texts.views())) + 4 * array.len()
        }
        DataType::Dictionary(..) => row_bytes(array) * array.len(),
        DataType::RunEndEncoded(..) => {
            let values = array.to_data().child_data().get(1).cloned();
            values.map_or(0, |values| row_bytes(&arrow::array::make_array(values)) * array.len())
        }
        DataType::List(_) => match array.as_list_opt::<i32>() {
            Some(list) => 4 * list.len() + items(list.value_offsets(), list.values()),
            None => 0,
        },
        DataType::LargeList(_) => match array.as_list_opt::<i64>() {
            Some(list) => 4 * list.len() + items(list.value_offsets(), list.values()),
            None => 0,
        },
        DataType::ListView(_) => match array.as_list_view_opt::<i32>() {
            Some(list) => 4 * list.len() + viewed(list.value_sizes(), list.values()),
            None => 0,
        },
        DataType::LargeListView(_) => match array.as_list_view_opt::<i64>() {
            Some(list) => 4 * list.len() + viewed(list.value_sizes(), list.values()),
            None => 0,
        },
        DataType::FixedSizeList(_, size) => match array.as_fixed_size_list_opt() {
            Some(list) => {
                row_bytes(list.values()) * usize::try_from(*size).unwrap_or(0) * list.len()
            }
            None => 0,
        },
        DataType::Struct(_) => match array.as_struct_opt() {
            Some(parent) => parent.columns().iter().map(bytes).sum(),
            None => 0,
        },
        DataType::Map(..) => match array.as_map_opt() {
            Some(map) => {
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                4 * map.len() + items(map.value_offsets(), &entries)
            }
            None => 0,
        },
        _ => array
            .to_data()
            .get_slice_memory_size()
            .unwrap_or_else(|_| array.get_buffer_memory_size()),
    }
}

/// The lengths of all views; nulls have none, or little that is not theirs.
fn shown(views: &[u128]) -> usize {
    let len = |view: &u128| usize::try_from(view & u128::from(u32::MAX)).unwrap_or(0);
    views.iter().map(len).sum()
}

fn items<O: Copy + TryInto<usize>>(offsets: &[O], values: &ArrayRef) -> usize {
    let place = |at: Option<&O>| at.and_then(|at| (*at).try_into().ok()).unwrap_or(0);
    let (from, to) = (place(offsets.first()), place(offsets.last()));
    if to <= from || to > values.len() { 0 } else { bytes(&values.slice(from, to - from)) }
}

fn viewed<O: Copy + TryInto<usize>>(sizes: &[O], values: &ArrayRef) -> usize {
    let items: usize = sizes.iter().map(|size| (*size).try_into().unwrap_or(0)).sum();
    row_bytes(values) * items
}
