//! What the tests of detectors share. Only compiled for tests.

use super::find::{Detector, Finds, Kind, Kinds, What};
use super::words::{Text, cut};

/// What one detector finds of one kind in a text, in order.
pub(super) fn found(detector: Detector, kind: Kind, text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let marks = cut(text, &mut words);
    let mut finds = Finds::default();
    finds.begin(Kinds::new(&[kind.word().to_owned()]));
    detector(&Text { text, bytes: text.as_bytes(), words: &words, marks }, &mut finds);
    finds
        .list()
        .iter()
        .map(|find| {
            assert_eq!(find.what, What::Kind(kind));
            text.get(find.start..find.end).unwrap().to_owned()
        })
        .collect()
}
