//! Groups whose values anybody may know: keys that are computed of columns of public tables, and of columns whose
//! values the policy lists. Which of them there can be, under the statement's conditions, is listed without
//! looking at the dataset; they need no threshold. Worlds are made in `worlds`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::filter;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, lit};

use super::below::{Below, broken};
use super::canonical::{quoted, text};
use super::known::known;
use super::listed::{self, Listed};
use super::split::Group;
use super::total::{is_plain, kind, total};
use super::worlds::{Condition, Source, Worlds};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::{Beside, Listing, Lookup, Public, joined_name, refused, short};
use crate::policy::privacy::DpGrant;

/// Keys of groups, as far as their values are public.
#[derive(Default)]
pub(super) struct Known {
    /// Groups of which the statement's keys are parts.
    pub(super) groups: Vec<Group>,
    /// By key of the statement: the part that it is; none where it is none.
    pub(super) parts: Vec<Option<KeyPart>>,
    /// By column: the values that the policy lists, as far as conditions leave them.
    pub(super) lists: BTreeMap<String, ArrayRef>,
    /// What rows are matched with beside the public tables of the statement: what the policy lists.
    pub(super) lookups: Vec<Arc<Lookup>>,
}

/// What a key of the aggregation is of a group.
#[derive(Debug, Clone)]
pub(super) struct KeyPart {
    /// The text of the group.
    pub(super) text: String,
    /// Its value in each.
    pub(super) values: ArrayRef,
    /// The dataset's own column, where it is one that the policy lists.
    pub(super) column: Option<Expr>,
}

/// Finds keys of public values.
///
/// PRIVACY: looked at are the statement, the policy and public tables. What is found is the same for any data.
///
/// # Errors
/// [`Code::NoisyOnly`] for keys that may fail on a value, and where no group is left.
pub(super) fn found(
    below: &Below,
    grant: &DpGrant,
    keys: &[Expr],
    conditions: &[Expr],
) -> Result<Known> {
    if keys.is_empty() {
        return Ok(Known::default());
    }
    let mut search = Search::new(below, grant, keys)?;
    search.keys(keys)?;
    search.conditions(conditions)?;
    match search.listed(true)? {
        Some(known) => Ok(known),
        // Tables too large to be looked at beside each other are looked at one by one.
        None => search.listed(false)?.ok_or_else(|| {
            refused(&format!(
                "there are too many combinations of public values: group by columns of one public table, or by fewer ({} keys are public)",
                search.keys.iter().flatten().count(),
            ))
        }),
    }
}

/// A key of public values.
struct PublicKey {
    text: String,
    /// Over the sources; it cannot fail.
    expr: Expr,
    kind: DataType,
    of: BTreeSet<usize>,
    /// Where it is a column that the policy lists.
    column: Option<String>,
}

struct Search<'a> {
    below: &'a Below,
    sources: Vec<Source>,
    /// By source behind the joins: the dataset's column that the policy lists.
    listed: Vec<Listed>,
    /// By how expressions call columns: their source.
    names: BTreeMap<String, usize>,
    /// By key of the statement.
    keys: Vec<Option<PublicKey>>,
    conditions: Vec<Condition>,
}

impl<'a> Search<'a> {
    fn new(below: &'a Below, grant: &DpGrant, keys: &[Expr]) -> Result<Self> {
        let (mut sources, mut names) = (Vec::new(), BTreeMap::new());
        for (at, join) in below.joins.iter().enumerate() {
            let schema = join.public.schema();
            let own = schema.fields().iter();
            let own: Vec<String> =
                own.map(|field| joined_name(&join.public.name, field.name())).collect();
            names.extend(own.iter().map(|name| (name.clone(), at)));
            sources.push(Source { public: Arc::clone(&join.public), names: own, none: join.keeps });
        }
        let mut listed = Vec::new();
        for (source, own) in listed::listed(below, grant, keys, sources.len())? {
            names.insert(own.column.clone(), sources.len());
            sources.push(source);
            listed.push(own);
        }
        Ok(Self { below, sources, listed, names, keys: Vec::new(), conditions: Vec::new() })
    }

    /// Which keys have public values.
    fn keys(&mut self, keys: &[Expr]) -> Result<()> {
        let schema = self.below.schema();
        for key in keys {
            let expr = self.over_sources(key, &|_| true)?;
            let Some(of) = self.sources_of(&expr, &|_| true) else {
                self.keys.push(None);
                continue;
            };
            let kind = kind(&expr, schema);
            let column = match &expr {
                Expr::Column(column) if self.is_listed(&column.name) => Some(column.name.clone()),
                _ => None,
            };
            // The statement's own words tell more than the policy's list: also what others have.
            let of_list = of.iter().any(|source| *source >= self.below.joins.len());
            let said = of_list && column.is_none() && known(&expr, &kind).is_some();
            if said
                || has_placeholder(&expr)?
                || !is_plain(&kind)
                || kind.is_null()
                || kind == DataType::Float16
            {
                self.keys.push(None);
                continue;
            }
            let (text, expr) = (text(&expr), total(&expr, schema)?);
            self.keys.push(Some(PublicKey { text, expr, kind, of, column }));
        }
        Ok(())
    }

    /// Which conditions speak of public values alone, and what joins say.
    fn conditions(&mut self, conditions: &[Expr]) -> Result<()> {
        let schema = self.below.schema();
        // Of a column that no key speaks of, values that the policy does not list are answered as well.
        let asked: BTreeSet<usize> =
            self.keys.iter().flatten().flat_map(|key| key.of.iter().copied()).collect();
        let whole = |source: usize| source < self.below.joins.len() || asked.contains(&source);
        let mut all = Vec::new();
        for part in conditions.iter().flat_map(split_conjunction) {
            all.push(self.over_sources(part, &whole)?);
        }
        all.extend(self.said_by_joins(&whole));
        for expr in all {
            if let Some(of) = self.sources_of(&expr, &whole)
                && !has_placeholder(&expr)?
                && kind(&expr, schema) == DataType::Boolean
            {
                let (text, expr) = (text(&expr), total(&expr, schema)?);
                self.conditions.push(Condition { text, expr, of });
            }
        }
        Ok(())
    }

    /// Columns that are equal in every row: what several public tables are joined by, and what the policy lists.
    fn said_by_joins(&self, whole: &dyn Fn(usize) -> bool) -> Vec<Expr> {
        let mut equal: BTreeMap<&str, Vec<Expr>> = BTreeMap::new();
        for Listed { column, .. } in &self.listed {
            if self.names.get(column).is_some_and(|source| whole(*source)) {
                equal.entry(column).or_default().push(self.below.column(column));
            }
        }
        for join in self.below.joins.iter().filter(|join| !join.keeps) {
            for (own, ..) in &join.keys {
                let theirs = self.equal_in(join, own).map(|name| self.below.column(&name));
                equal.entry(own).or_default().extend(theirs);
            }
        }
        let pairs = equal.into_values().flat_map(|all| {
            let others = all.iter().skip(1).cloned().collect::<Vec<_>>();
            all.into_iter().zip(others).map(|(one, other)| one.eq(other)).collect::<Vec<_>>()
        });
        pairs.collect()
    }

    /// The column of a public table that is equal to a dataset's column in every row, of the same type.
    fn equal_in(&self, join: &Lookup, column: &str) -> Option<String> {
        if join.keeps {
            return None;
        }
        let own = kind(&self.below.column(column), self.below.schema());
        let theirs = join.keys.iter().filter(|(name, ..)| name == column).find(|(_, theirs, _)| {
            let schema = join.public.schema();
            schema.field_with_name(theirs).is_ok_and(|field| *field.data_type() == own)
        });
        theirs.map(|(_, theirs, _)| joined_name(&join.public.name, theirs))
    }

    fn is_listed(&self, column: &str) -> bool {
        self.listed.iter().any(|listed| listed.column == column)
    }

    /// An expression in which columns of the dataset that are equal to public ones are these; those of `whole`
    /// sources stay.
    fn over_sources(&self, expr: &Expr, whole: &dyn Fn(usize) -> bool) -> Result<Expr> {
        let replaced = expr.clone().transform_up(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            if self.names.get(&column.name).is_some_and(|source| whole(*source)) {
                return Ok(Transformed::no(part));
            }
            let mut joins = self.below.joins.iter();
            Ok(match joins.find_map(|join| self.equal_in(join, &column.name)) {
                Some(name) => Transformed::yes(self.below.column(&name)),
                None => Transformed::no(part),
            })
        });
        replaced.map(|replaced| replaced.data).map_err(broken)
    }

    /// The sources that an expression speaks of; none where it speaks of something else, or of nothing.
    fn sources_of(&self, expr: &Expr, whole: &dyn Fn(usize) -> bool) -> Option<BTreeSet<usize>> {
        let columns = expr.column_refs();
        let of = columns.iter().map(|column| self.names.get(&column.name).copied());
        let of = of.collect::<Option<BTreeSet<usize>>>()?;
        (!of.is_empty() && of.iter().all(|source| whole(*source))).then_some(of)
    }

    /// The groups; none where there are too many worlds of sources that are looked at together. Conditions that
    /// speak of several are looked at where it is `beside` each other.
    fn listed(&self, beside: bool) -> Result<Option<Known>> {
        let used = self.conditions.iter().filter(|it| beside || it.of.len() == 1);
        let conditions: Vec<&Condition> = used.collect();
        let anything = PublicKey {
            text: String::new(),
            expr: lit(true),
            kind: DataType::Boolean,
            of: BTreeSet::new(),
            column: None,
        };
        let mut known = Known::default();
        known.parts.resize_with(self.keys.len(), || None);
        for sources in self.together(&conditions) {
            let keys = self.keys.iter().flatten().filter(|key| !key.of.is_disjoint(&sources));
            let mut keys: Vec<&PublicKey> = keys.collect();
            keys.sort_by(|one, other| one.text.cmp(&other.text));
            keys.dedup_by(|one, other| one.text == other.text);
            let is_grouped = !keys.is_empty();
            if !is_grouped {
                keys.push(&anything);
            }
            let own = conditions.iter().copied().filter(|it| !it.of.is_disjoint(&sources));
            let own: Vec<&Condition> = own.collect();
            let Some((numbered, list)) = self.list(&sources, &keys, &own)? else {
                return Ok(None);
            };
            if list.all.is_empty() {
                return Err(self.nothing(&numbered, &own));
            }
            match (keys.as_slice(), numbered.as_slice()) {
                ([PublicKey { column: Some(column), .. }], [source]) => {
                    known.lists.insert(column.clone(), self.left(*source, &list)?);
                }
                _ if is_grouped => self.add(&mut known, &numbered, &keys, &list)?,
                _ => {}
            }
        }
        Ok(Some(known))
    }

    /// Sources that keys and conditions speak of together.
    fn together(&self, conditions: &[&Condition]) -> Vec<BTreeSet<usize>> {
        let keys = self.keys.iter().flatten().map(|key| &key.of);
        let mut all: Vec<BTreeSet<usize>> = Vec::new();
        for of in keys.chain(conditions.iter().map(|it| &it.of)) {
            let (with, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|it| !it.is_disjoint(of));
            all = others;
            all.push(with.into_iter().flatten().chain(of.iter().copied()).collect());
        }
        all
    }

    /// The list of keys over sources: those that they speak of, first, and what is listed.
    fn list(
        &self,
        sources: &BTreeSet<usize>,
        keys: &[&PublicKey],
        conditions: &[&Condition],
    ) -> Result<Option<(Vec<usize>, Arc<Listing>)>> {
        let numbered: BTreeSet<usize> =
            keys.iter().flat_map(|key| key.of.iter().copied()).collect();
        let rest = sources.difference(&numbered);
        let all: Vec<usize> = numbered.iter().chain(rest).copied().collect();
        let exprs: Vec<(&Expr, DataType)> =
            keys.iter().map(|key| (&key.expr, key.kind.clone())).collect();
        let worlds =
            Worlds { name: self.below.name(), props: self.below.props(), sources: &self.sources };
        let numbered: Vec<usize> = numbered.into_iter().collect();
        let make = || worlds.list(&all, numbered.len(), &exprs, conditions);
        let joins = self.below.joins.len();
        let tables: Vec<Arc<Public>> = all
            .iter()
            .filter(|source| **source < joins)
            .filter_map(|source| self.sources.get(*source))
            .map(|source| Arc::clone(&source.public))
            .collect();
        let list = match tables.split_first() {
            Some((first, others)) => {
                let text = self.told(&all, keys, conditions);
                let mut many = false;
                let list = first.list(&text, others, || {
                    let none = || Error::new(Code::Internal, "too many worlds");
                    let list = make()?;
                    many = list.is_none();
                    list.ok_or_else(none)
                });
                match list {
                    Err(_) if many => None,
                    list => Some(list?),
                }
            }
            None => make()?,
        };
        Ok(list.map(|list| (numbered, list)))
    }

    /// What a list is of, but for the contents of tables.
    fn told(&self, sources: &[usize], keys: &[&PublicKey], conditions: &[&Condition]) -> String {
        let source = |at: &usize| {
            let listed = at.checked_sub(self.below.joins.len()).and_then(|at| self.listed.get(at));
            let source = self.sources.get(*at)?;
            let name = quoted(&source.public.name);
            Some(format!("{name} {} {:?}", source.none, listed.map(|listed| &listed.digest)))
        };
        let sources = sources.iter().filter_map(source);
        let mut conditions: Vec<String> = conditions.iter().map(|it| it.text.clone()).collect();
        conditions.sort();
        let keys = keys.iter().map(|key| format!("{} {}", key.text, key.kind));
        [sources.collect::<Vec<_>>(), keys.collect(), conditions]
            .map(|it| it.join("\n"))
            .join("\n\n")
    }

    /// The values that the policy lists, in its order, as far as they are listed.
    fn left(&self, source: usize, list: &Listing) -> Result<ArrayRef> {
        let lost = || Error::new(Code::Internal, "a list of keys is not there");
        let source = self.sources.get(source).ok_or_else(lost)?;
        let (values, part) = (source.public.rows.columns().first(), list.numbers.parts.first());
        let (values, part) = (values.ok_or_else(lost)?, part.ok_or_else(lost)?);
        let there = |place: &u32| list.numbers.numbers.is_valid(*place as usize);
        let there: BooleanArray = part.rows.iter().map(|place| Some(there(place))).collect();
        filter(values, &there).context(Code::Internal, || "keys cannot be picked".to_owned())
    }

    fn add(
        &self,
        known: &mut Known,
        numbered: &[usize],
        keys: &[&PublicKey],
        list: &Listing,
    ) -> Result<()> {
        let joins = self.below.joins.len();
        let mut lookups = Vec::new();
        for source in numbered {
            let Some(Listed { column, kind, .. }) =
                source.checked_sub(joins).and_then(|at| self.listed.get(at))
            else {
                lookups.push(*source);
                continue;
            };
            let lost = || Error::new(Code::Internal, "a list of keys is not there");
            let public = &self.sources.get(*source).ok_or_else(lost)?.public;
            let by = vec![(column.clone(), column.clone(), kind.clone())];
            lookups.push(joins + known.lookups.len());
            known.lookups.push(Arc::new(Lookup::new(Arc::clone(public), true, by)?));
        }
        let texts: Vec<&str> = keys.iter().map(|key| key.text.as_str()).collect();
        let text = format!("(groups {})", texts.join(" "));
        let name = joined_name("", &format!("groups {}", known.groups.len()));
        let beside = Beside { name: name.clone(), lookups, numbers: Arc::clone(&list.numbers) };
        for (part, own) in known.parts.iter_mut().zip(&self.keys) {
            let at = own.as_ref().and_then(|own| keys.iter().position(|it| it.text == own.text));
            if let (Some(own), Some(values)) = (own, at.and_then(|at| list.values.get(at))) {
                let column = own.column.as_ref().map(|name| self.below.column(name));
                let (text, values) = (text.clone(), Arc::clone(values));
                *part = Some(KeyPart { text, values, column });
            }
        }
        let public = Some(Arc::clone(&list.all));
        known.groups.push(Group {
            text,
            expr: self.below.column(&name),
            public,
            more: Some(beside),
        });
        Ok(())
    }

    /// Why there is no group.
    fn nothing(&self, sources: &[usize], conditions: &[&Condition]) -> Error {
        let joins = self.below.joins.iter();
        let empty = joins.map(|join| &join.public).find(|public| public.rows.num_rows() == 0);
        match (conditions, empty) {
            ([], Some(public)) if sources.len() == 1 => refused(&format!(
                "`{}` has no rows, so there are no groups by its columns",
                short(&public.name)
            )),
            _ => refused(
                "no group is left: all of them are of public values, and the conditions exclude each",
            ),
        }
    }
}

fn has_placeholder(expr: &Expr) -> Result<bool> {
    let mut found = false;
    let walked = expr.apply(|part| {
        found = found || matches!(part, Expr::Placeholder(_));
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map(|_| found).map_err(broken)
}
