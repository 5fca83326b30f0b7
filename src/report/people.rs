//! Users and addresses: who is in the data, as stand-ins, how often, and whether a value is one at all; and
//! which address each user comes from. Knows no original.

use std::collections::BTreeMap;
use std::net::IpAddr;

use arrow::datatypes::DataType;
use serde_json::{Value, json};

use super::cell::{by_token, natural, text};
use super::page::{Page, Show, Table, thousands};
use super::plot::{Plot, Shape, bars};
use super::roles::Role;
use super::study::{Study, count, quoted, share};
use crate::error::Result;

/// One value of a column and how many rows have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// The released value; null for rows without one.
    pub token: Value,
    /// Rows.
    pub count: u64,
    /// Whether it stands for somebody: not missing, not blank, and an address where it must be one.
    pub valid: bool,
}

/// How many bars a plot has before the others are one.
pub const TOP: usize = 20;

/// The values of a column in the order of tokens, the missing one last.
///
/// # Errors
/// When the statement fails.
pub fn tally(study: &Study<'_>, column: &str, role: Role) -> Result<Vec<Tally>> {
    let name = quoted(column);
    let sql = format!("SELECT {name}, count(*) FROM {} GROUP BY {name}", study.table());
    let valid = Valid::of(study, column, role);
    let mut all = Vec::new();
    study.each(&sql, |[token, rows]| {
        let valid = valid.holds(&token);
        all.push(Tally { count: count(&rows), valid, token });
        Ok(())
    })?;
    let order = order_of(study, column);
    all.sort_by(|one, other| order(&one.token, &other.token));
    Ok(all)
}

/// The order of a column's values: of a token map that of its numbers, of all else that of numbers in texts.
pub fn order_of(study: &Study<'_>, column: &str) -> fn(&Value, &Value) -> std::cmp::Ordering {
    if study.protection(column).ends_with(".token") { by_token } else { natural }
}

/// What makes a value of a column valid.
#[derive(Debug, Clone, Copy)]
pub struct Valid {
    address: bool,
}

impl Valid {
    /// For a column in a role.
    pub fn of(study: &Study<'_>, column: &str, role: Role) -> Self {
        // A stand-in for an address does not say whether there was an address.
        let stand_in = study.protection(column).starts_with("pseudonym");
        let is_text = matches!(
            study.kind(column),
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        );
        Self { address: role == Role::Ip && is_text && !stand_in }
    }

    /// Whether a value is valid.
    pub fn holds(self, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::String(text) if self.address => text.trim().parse::<IpAddr>().is_ok(),
            Value::String(text) => !text.trim().is_empty(),
            _ => true,
        }
    }

    /// The rule in a sentence.
    const fn rule(self) -> &'static str {
        if self.address {
            "Valid is what reads as an IPv4 or IPv6 address after the policy; a missing value is not valid."
        } else {
            "Valid is what is neither missing nor blank after the policy; a stand-in does not tell more of \
             its original, what the token map knows stays with the custodian."
        }
    }
}

/// The report on users, or on addresses.
///
/// # Errors
/// When a statement fails.
pub fn report(study: &Study<'_>, role: Role) -> Result<Page> {
    let words = Words::of(role);
    let mut page = Page {
        stem: words.many.to_owned(),
        title: words.title.to_owned(),
        summary: words.summary.to_owned(),
        found: true,
        ..Page::default()
    };
    add(study, role, &mut page)?;
    Ok(page)
}

/// What a role's report is called.
struct Words {
    many: &'static str,
    title: &'static str,
    summary: &'static str,
    distinct: &'static str,
    distinct_label: &'static str,
}

impl Words {
    const fn of(role: Role) -> Self {
        match role {
            Role::Ip => Self {
                many: "ips",
                title: "Addresses",
                summary: "Every address in the data, as the policy lets it out, with the number of its jobs.",
                distinct: "distinct_ips",
                distinct_label: "Distinct addresses",
            },
            _ => Self {
                many: "users",
                title: "Users",
                summary: "Every user in the data, as a stand-in, with the number of their jobs.",
                distinct: "distinct_users",
                distinct_label: "Distinct users",
            },
        }
    }
}

/// Adds a role's list, table, figures and plot to a page.
fn add(study: &Study<'_>, role: Role, page: &mut Page) -> Result<()> {
    let words = Words::of(role);
    let column = match study.need(role) {
        Ok(column) => column.to_owned(),
        Err(why) => {
            page.notes.push(why);
            page.lists.insert(words.many.to_owned(), json!([]));
            return Ok(());
        }
    };
    let all = tally(study, &column, role)?;
    let total: u64 = all.iter().map(|tally| tally.count).sum();
    let missing = all.iter().find(|tally| tally.token.is_null()).map_or(0, |tally| tally.count);
    let distinct = all.iter().filter(|tally| !tally.token.is_null()).count();
    if !page.figures.iter().any(|figure| figure.key == "total_rows") {
        page.figure("total_rows", "Rows", total, Show::Count);
    }
    page.figure(words.distinct, words.distinct_label, distinct, Show::Count);
    if missing > 0 {
        let label = format!("Rows without {}", role.noun());
        let key = if role == Role::Ip { "rows_without_ip" } else { "rows_without_user" };
        page.figure(key, &label, missing, Show::Count);
    }
    let list = all.iter().map(|tally| json!([tally.token, tally.count, tally.valid]));
    page.lists.insert(words.many.to_owned(), list.collect());
    page.tables.push(table(&all, total, role));
    let named = all.iter().map(|tally| (label(&tally.token), tally.count));
    let most = all.iter().max_by_key(|tally| tally.count);
    let alt = format!(
        "Bars of jobs by {}: {} in all{}.",
        words.distinct_label.trim_start_matches("Distinct "),
        people(all.len() as u64),
        most.map_or_else(String::new, |most| {
            let (count, total) = (people(most.count), people(total));
            format!(", most of them of {} ({count} of {total})", label(&most.token))
        }),
    );
    page.plots.push(Plot {
        title: format!("Jobs by {}", if role == Role::Ip { "address" } else { "user" }),
        alt,
        shape: Shape::Bars(bars(named, TOP)),
    });
    page.notes.push(Valid::of(study, &column, role).rule().to_owned());
    page.notes.push(format!(
        "The list `{}` of the JSON has [token, count, valid] in the order of tokens; the table is by count.",
        words.many
    ));
    page.columns.push(column);
    Ok(())
}

/// A count as people read it.
fn people(count: u64) -> String {
    thousands(&count.to_string())
}

/// A value as the name of a bar.
pub fn label(value: &Value) -> String {
    match value {
        Value::Null => "(null)".to_owned(),
        value => text(value),
    }
}

fn table(all: &[Tally], total: u64, role: Role) -> Table {
    let (key, title, token) = match role {
        Role::Ip => ("ip_rows", "Addresses by number of jobs", "Address"),
        _ => ("user_rows", "Users by number of jobs", "User"),
    };
    let mut table = Table::new(
        key,
        title,
        "By count, the largest first; of equal counts in the order of tokens. Equal counts share a rank.",
        &[
            ("rank", "Rank", Show::Count),
            ("token", token, Show::Token),
            ("count", "Jobs", Show::Count),
            ("share", "Share of all rows", Show::Share),
            ("valid", "Valid", Show::Flag),
        ],
    );
    let mut sorted: Vec<&Tally> = all.iter().collect();
    // Stable: they stand in the order of tokens.
    sorted.sort_by_key(|tally| std::cmp::Reverse(tally.count));
    let ranks = ranks(sorted.iter().map(|tally| tally.count));
    for (tally, rank) in sorted.into_iter().zip(ranks) {
        table.rows.push(vec![
            rank.into(),
            tally.token.clone(),
            tally.count.into(),
            share(tally.count, total),
            tally.valid.into(),
        ]);
    }
    table
}

/// Ranks of counts that fall: equal counts share one, and the next is one more than all before it.
pub fn ranks(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut ranks = Vec::new();
    let mut last: Option<(u64, u64)> = None;
    for (before, count) in (0_u64..).zip(counts) {
        let rank = match last {
            Some((same, rank)) if same == count => rank,
            _ => before.saturating_add(1),
        };
        ranks.push(rank);
        last = Some((count, rank));
    }
    ranks
}

/// What is known of one user.
#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    mode: Option<(Value, u64)>,
    distinct: u64,
}

/// The report on which address each user comes from.
///
/// # Errors
/// When a statement fails.
pub fn correlations(study: &Study<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "correlations".to_owned(),
        title: "Users and their addresses".to_owned(),
        summary:
            "The address that each user comes from most often, both as the policy lets them out."
                .to_owned(),
        found: true,
        ..Page::default()
    };
    add_correlations(study, &mut page)?;
    Ok(page)
}

fn add_correlations(study: &Study<'_>, page: &mut Page) -> Result<()> {
    let (user, ip) = match (study.need(Role::User), study.need(Role::Ip)) {
        (Ok(user), Ok(ip)) => (user.to_owned(), ip.to_owned()),
        (user, ip) => {
            page.notes.extend([user.err(), ip.err()].into_iter().flatten());
            page.lists.insert("user_ip_correlations".to_owned(), json!([]));
            return Ok(());
        }
    };
    let (user_name, ip_name) = (quoted(&user), quoted(&ip));
    let sql = format!(
        "SELECT {user_name}, {ip_name}, count(*) FROM {} GROUP BY {user_name}, {ip_name}",
        study.table()
    );
    let valid = Valid::of(study, &user, Role::User);
    // By the value's own text: a null and the text `null` differ.
    let mut seen: BTreeMap<String, (Value, Seen)> = BTreeMap::new();
    study.each(&sql, |[user, ip, rows]| {
        let rows = count(&rows);
        let (_, seen) = seen.entry(user.to_string()).or_insert_with(|| (user, Seen::default()));
        seen.rows = seen.rows.saturating_add(rows);
        if ip.is_null() {
            return Ok(());
        }
        seen.distinct = seen.distinct.saturating_add(1);
        let better = match &seen.mode {
            None => true,
            Some((mode, most)) => rows > *most || (rows == *most && by_token(&ip, mode).is_lt()),
        };
        if better {
            seen.mode = Some((ip, rows));
        }
        Ok(())
    })?;
    let mut all: Vec<(Value, Seen)> = seen.into_values().collect();
    let order = order_of(study, &user);
    all.sort_by(|(one, _), (other, _)| order(one, other));
    let mut table = Table::new(
        "correlations",
        "Each user's most frequent address",
        "By the user's rows, the largest first; of equal counts in the order of tokens.",
        &[
            ("user", "User", Show::Token),
            ("ip", "Most frequent address", Show::Token),
            ("user_count", "Rows of the user", Show::Count),
            ("ip_count", "Of these from it", Show::Count),
            ("ip_share", "Share", Show::Share),
            ("distinct_ips", "Addresses in all", Show::Count),
            ("user_valid", "Valid", Show::Flag),
        ],
    );
    let mut list = Vec::new();
    for (user, seen) in all {
        let (ip, most) = match seen.mode {
            Some((ip, most)) => (ip, most),
            None => (Value::Null, 0),
        };
        let valid = valid.holds(&user);
        list.push(json!([user, ip, seen.rows, valid]));
        table.rows.push(vec![
            user,
            ip,
            seen.rows.into(),
            most.into(),
            share(most, seen.rows),
            seen.distinct.into(),
            valid.into(),
        ]);
    }
    table.rows.sort_by_key(|row| std::cmp::Reverse(row.get(2).map_or(0, count)));
    page.lists.insert("user_ip_correlations".to_owned(), list.into());
    if !page.figures.iter().any(|figure| figure.key == "distinct_users") {
        let users = table.rows.iter().filter(|row| row.first().is_some_and(|user| !user.is_null()));
        page.figure("distinct_users", "Distinct users", users.count(), Show::Count);
    }
    page.tables.push(table);
    page.notes.push(
        "The most frequent address is that of most rows of the user, of equals the shortest and of these the \
         first; rows without an address do not count for it. The list `user_ip_correlations` has [user, \
         address, rows of the user, valid] in the order of tokens."
            .to_owned(),
    );
    for column in [user, ip] {
        if !page.columns.contains(&column) {
            page.columns.push(column);
        }
    }
    Ok(())
}

/// Users, addresses and correlations in one.
///
/// # Errors
/// When a statement fails.
pub fn summary(study: &Study<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "summary".to_owned(),
        title: "Summary".to_owned(),
        summary: "Users, addresses, which address each user comes from, and jobs over time."
            .to_owned(),
        found: true,
        ..Page::default()
    };
    add(study, Role::User, &mut page)?;
    add(study, Role::Ip, &mut page)?;
    add_correlations(study, &mut page)?;
    super::time::add(study, &mut page)?;
    Ok(page)
}
