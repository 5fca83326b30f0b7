//! Turns the words of one column's rule into a transform with checked arguments, by what the
//! registry says of each transform. Knows no transform by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::Rule;
use super::args::{Args, Kind, Param, Value};
use super::problem::{Problem, Problems, listed, suggestion};
use super::raw::RawColumn;
use super::read::{self, Spanned};
use super::yaml::{Content, Node};
use crate::diagnostic::{Span, did_you_mean};
use crate::pipeline::transform::{ALL, Spec, Transform, find, suggestions};

/// What rules are checked against.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The names of all columns.
    pub(super) columns: &'a [&'a str],
    /// The folder that paths start from.
    pub(super) folder: &'a Path,
}

/// The rule of a column; `None` when it was refused.
pub(super) fn resolve(
    problems: &mut Problems,
    column: &RawColumn,
    scope: &Scope<'_>,
) -> Option<Rule> {
    let before = problems.count();
    let verb = column.verb.as_ref()?;
    let (transform, params) = choose(problems, verb, column.value.as_ref())?;
    let spec = transform.spec();
    let mut args = Args::defaults(spec.params);
    let mut places: BTreeMap<&str, Span> = BTreeMap::new();
    for (name, name_span, node) in params {
        let Some(param) = spec.params.iter().find(|param| param.name == name) else {
            unknown_param(problems, spec, name, name_span);
            continue;
        };
        places.insert(param.name, node.span);
        if let Some(value) = value(problems, param, node, scope) {
            args.set(param.name, value);
        }
    }
    for param in spec.params.iter().filter(|param| param.required) {
        if !places.contains_key(param.name) {
            problems
                .add(
                    Problem::MissingKey,
                    verb.span,
                    format!("`{}` needs `{}`", spec.name(), param.name),
                )
                .help(format!("for example {}", spec.example));
        }
    }
    if problems.count() > before {
        return None;
    }
    let mut refusals = transform.check(&args);
    if refusals.is_empty() {
        refusals = transform.check_files(&args, scope.folder);
    }
    for refusal in refusals {
        let at = refusal.param.and_then(|param| places.get(param)).copied().unwrap_or(verb.span);
        let problem = problems.add(Problem::Refused, at, refusal.message);
        if let Some(help) = refusal.help {
            problem.help(help);
        }
    }
    for other in transform.reads(&args) {
        let named = spec.params.iter().find(|param| {
            param.kind == Kind::Column && args.text(param.name) == Some(other.as_str())
        });
        // Column parameters were looked at when they were read.
        if named.is_none() && !scope.columns.contains(&other.as_str()) {
            unknown_column(problems, &Spanned::new(other, verb.span), scope.columns);
        }
    }
    (problems.count() == before).then_some(Rule { transform, args })
}

/// A parameter as written: its name, where the name stands, its value.
type Written<'a> = (&'a str, Span, &'a Node);

/// The transform that verb and method name, and the parameters that are left.
fn choose<'a>(
    problems: &mut Problems,
    verb: &Spanned<String>,
    value: Option<&'a Node>,
) -> Option<(&'static dyn Transform, Vec<Written<'a>>)> {
    let specs = suggestions(&verb.value);
    if specs.is_empty() {
        unknown_transform(problems, verb);
        return None;
    }
    let methods: Vec<&str> = specs.iter().filter_map(|spec| spec.method).collect();
    let mut params = Vec::new();
    let mut method = None;
    match value.map(|node| (node, &node.content)) {
        None => {}
        Some((_, Content::Refused)) => return None,
        Some((_, Content::Map(entries))) => {
            for entry in entries {
                if entry.key == "method" && !methods.is_empty() {
                    method = Some(read::text(problems, &entry.value, "`method`")?);
                } else {
                    params.push((entry.key.as_str(), entry.key_span, &entry.value));
                }
            }
        }
        Some((node, _)) if !methods.is_empty() => {
            let what = format!("the method of `{}`", verb.value);
            method = Some(read::text(problems, node, &what)?);
        }
        Some((node, _)) => {
            let Some(primary) = specs.first().and_then(|spec| spec.primary) else {
                bare_value(problems, verb, node, specs.first().copied());
                return None;
            };
            params.push((primary, node.span, node));
        }
    }
    let found = find(&verb.value, method.as_ref().map(|method| method.value.as_str()));
    if let Some(transform) = found {
        return Some((transform, params));
    }
    match method {
        Some(method) => problems
            .add(
                Problem::UnknownMethod,
                method.span,
                format!("`{}` has no method `{}`", verb.value, method.value),
            )
            .label(format!("one of {}", listed(&methods)))
            .help(suggestion(&method.value, methods.iter().copied())),
        None => problems
            .add(Problem::MissingKey, verb.span, format!("`{}` needs a method", verb.value))
            .help(format!("one of {}", listed(&methods))),
    };
    None
}

fn bare_value(
    problems: &mut Problems,
    verb: &Spanned<String>,
    node: &Node,
    spec: Option<&'static Spec>,
) {
    let problem = problems.add(
        Problem::WrongKind,
        node.span,
        format!("`{}` takes no bare value", verb.value),
    );
    match spec {
        Some(spec) if spec.params.is_empty() || spec.example == spec.verb => {
            problem.help(format!("write `{}` alone", verb.value))
        }
        Some(spec) => problem.help(format!("name the parameter, for example {}", spec.example)),
        None => problem,
    };
}

fn unknown_transform(problems: &mut Problems, verb: &Spanned<String>) {
    let problem = problems.add(
        Problem::UnknownTransform,
        verb.span,
        format!("there is no transform `{}`", verb.value),
    );
    let owner = ALL
        .iter()
        .map(|transform| transform.spec())
        .find(|spec| spec.method == Some(verb.value.as_str()));
    if let Some(owner) = owner {
        problem.help(format!(
            "`{}` is a method: write {{{}: {}}}",
            verb.value, owner.verb, verb.value
        ));
        return;
    }
    problem.help(suggestion(&verb.value, verbs().into_iter().chain(["class"])));
}

/// All verbs, once each, in the order of the manual.
pub(super) fn verbs() -> Vec<&'static str> {
    let mut verbs = Vec::new();
    for transform in ALL {
        let verb = transform.spec().verb;
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    verbs
}

fn unknown_param(problems: &mut Problems, spec: &Spec, name: &str, span: Span) {
    let known: Vec<&str> = spec.params.iter().map(|param| param.name).collect();
    let others: Vec<String> = suggestions(spec.verb)
        .into_iter()
        .filter(|other| other.params.iter().any(|param| param.name == name))
        .map(Spec::name)
        .collect();
    let message = format!("`{}` has no parameter `{name}`", spec.name());
    let help = match (did_you_mean(name, known.iter().copied()), others.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, false) => format!("{} has it", listed(&others)),
        (None, true) if known.is_empty() => format!("`{}` has no parameters", spec.name()),
        (None, true) => format!("known: {}", listed(&known)),
    };
    problems.add(Problem::UnknownKey, span, message).label("unknown parameter").help(help);
}

/// Reports a column that the policy has no rule for.
pub(super) fn unknown_column(problems: &mut Problems, name: &Spanned<String>, columns: &[&str]) {
    let problem = problems.add(
        Problem::UnknownColumn,
        name.span,
        format!("the policy has no column `{}`", name.value),
    );
    match did_you_mean(&name.value, columns.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("every column of the data has a rule under `columns`, even `drop`"),
    };
}

/// The value of a parameter, by its kind.
fn value(problems: &mut Problems, param: &Param, node: &Node, scope: &Scope<'_>) -> Option<Value> {
    let what = format!("`{}`", param.name);
    Some(match param.kind {
        Kind::Flag => Value::Flag(read::flag(problems, node, &what)?.value),
        Kind::Integer { min, max } => {
            Value::Integer(read::integer(problems, node, &what, min, max)?.value)
        }
        Kind::Number { min, max } => {
            Value::Number(read::number(problems, node, &what, min, max)?.value)
        }
        Kind::Text => Value::Text(read::text(problems, node, &what)?.value),
        Kind::Choice(words) => {
            Value::Text(read::word(problems, node, &what, words)?.value.to_owned())
        }
        Kind::Choices(words) => choices(problems, node, &what, words)?,
        Kind::Date => Value::Date(read::date(problems, node, &what)?.value),
        Kind::Column => {
            let name = read::text(problems, node, &what)?;
            if !scope.columns.contains(&name.value.as_str()) {
                unknown_column(problems, &name, scope.columns);
                return None;
            }
            Value::Text(name.value)
        }
        Kind::Columns => columns(problems, node, &what, scope)?,
        Kind::Numbers => {
            let items = read::list(problems, node, &what)?;
            let item_name = format!("a number of {what}");
            let numbers: Vec<f64> = items
                .iter()
                .filter_map(|item| read::number(problems, item, &item_name, f64::MIN, f64::MAX))
                .map(|number| number.value)
                .collect();
            (numbers.len() == items.len()).then_some(Value::Numbers(numbers))?
        }
        Kind::Texts => {
            let items = read::one_or_more(problems, node, &what)?;
            let item_name = format!("an item of {what}");
            let texts: Vec<String> = items
                .iter()
                .filter_map(|item| read::text(problems, item, &item_name))
                .map(|text| text.value)
                .collect();
            (texts.len() == items.len()).then_some(Value::Texts(texts))?
        }
        Kind::Path => {
            let path = read::text(problems, node, &what)?;
            let file = scope.folder.join(&path.value);
            if !file.is_file() {
                problems
                    .add(
                        Problem::FileUnreadable,
                        path.span,
                        format!("there is no file `{}`", path.value),
                    )
                    .help("paths start from the folder of the policy");
                return None;
            }
            Value::Text(path.value)
        }
        Kind::Scalar => scalar(problems, node, &what)?,
    })
}

fn choices(
    problems: &mut Problems,
    node: &Node,
    what: &str,
    words: &'static [&'static str],
) -> Option<Value> {
    let items = read::one_or_more(problems, node, what)?;
    let item_name = format!("an item of {what}");
    let mut chosen: Vec<String> = Vec::new();
    let mut good = true;
    for item in items {
        match read::word(problems, item, &item_name, words) {
            Some(word) if chosen.iter().any(|other| other == word.value) => {
                problems.add(
                    Problem::DuplicateKey,
                    word.span,
                    format!("`{}` stands twice in {what}", word.value),
                );
                good = false;
            }
            Some(word) => chosen.push(word.value.to_owned()),
            None => good = false,
        }
    }
    good.then_some(Value::Texts(chosen))
}

/// Names of columns, each known and none twice.
fn columns(problems: &mut Problems, node: &Node, what: &str, scope: &Scope<'_>) -> Option<Value> {
    let items = read::one_or_more(problems, node, what)?;
    let item_name = format!("a column of {what}");
    let mut names: Vec<String> = Vec::new();
    let mut good = true;
    for item in items {
        let name = read::text(problems, item, &item_name)?;
        if names.contains(&name.value) {
            let message = format!("`{}` stands twice in {what}", name.value);
            problems.add(Problem::DuplicateKey, name.span, message);
            good = false;
        } else if scope.columns.contains(&name.value.as_str()) {
            names.push(name.value);
        } else {
            unknown_column(problems, &name, scope.columns);
            good = false;
        }
    }
    good.then_some(Value::Texts(names))
}

/// A flag, a number or a text, where every reader of YAML would agree which; otherwise quotes are
/// asked for.
fn scalar(problems: &mut Problems, node: &Node, what: &str) -> Option<Value> {
    let Content::Scalar { text, plain } = &node.content else {
        return read::wrong(problems, node, what, "a single value");
    };
    if !plain {
        return Some(Value::Text(text.clone()));
    }
    match text.as_str() {
        "" => {
            problems.add(Problem::WrongKind, node.span, format!("{what} has no value"));
            return None;
        }
        "true" => return Some(Value::Flag(true)),
        "false" => return Some(Value::Flag(false)),
        "~" | "null" | "Null" | "NULL" => {
            problems.add(Problem::WrongKind, node.span, format!("{what} cannot be null")).help(
                format!(
                    "use the transform `null` for no value, or quote it for the text \"{text}\""
                ),
            );
            return None;
        }
        _ => {}
    }
    let whole = text.parse::<i64>().ok().filter(|value| value.to_string() == *text);
    if let Some(whole) = whole {
        return Some(Value::Integer(whole));
    }
    let decimal = text.parse::<f64>().ok().filter(|value| value.to_string() == *text);
    if let Some(decimal) = decimal.filter(|value| value.is_finite()) {
        return Some(Value::Number(decimal));
    }
    if read::is_decimal(text) || read::written_out(text).is_some() {
        let problem = problems.add(
            Problem::NumberForm,
            node.span,
            format!("{what} could be a number or a text"),
        );
        match read::written_out(text) {
            Some(number) => {
                problem.help(format!("write \"{text}\" for the text, or the number as {number}"))
            }
            None => problem.help(format!("write \"{text}\" for the text")),
        };
        return None;
    }
    Some(Value::Text(text.clone()))
}
