//! What a method decided: the class of each combination, and what the quasi-identifiers of a class become.

/// What all rows of a class show in one quasi-identifier.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A group of the column's hierarchy.
    Group {
        /// The level.
        level: u32,
        /// The group at this level.
        group: u32,
    },
    /// A label; `None` is null.
    Label(Option<String>),
    /// A mean (microaggregation).
    Number(Option<f64>),
}

/// Some rows of one combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The combination's place in the table.
    pub combination: u32,
    /// The class that they join, or none: they are suppressed.
    pub class: Option<u32>,
    /// How many rows; all of the combination's, unless the method divides equal combinations.
    pub rows: u64,
}

/// What a method decided. The same table gives the same recoding, on any number of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Recoding {
    /// Every row of the table once, in order of combinations.
    pub parts: Vec<Part>,
    /// By class: what each quasi-identifier becomes.
    pub classes: Vec<Vec<Cell>>,
    /// The levels, where the method generalizes whole columns.
    pub levels: Option<Vec<u32>>,
    /// What the method made least, where it has one; several where they are compared one by one.
    pub loss: Option<Vec<f64>>,
}
