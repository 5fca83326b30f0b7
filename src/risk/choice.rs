//! The trade-off of k against loss and risk, as a table and plots, so that a custodian can choose. Chooses
//! nothing itself.

use serde_json::{Value, json};

use super::Risk;
use crate::report::page::{Page, Show, Table, decimal};
use crate::report::plot::{Line, Lines, Plot, Shape};
use crate::report::write::html::Frame;

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// k.
    pub k: u64,
    /// The share of rows that may be suppressed.
    pub suppress_max: f64,
    /// What it costs, or why there is none.
    pub outcome: Result<Outcome, String>,
}

/// What a choice costs and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// By column: its level and the last one.
    pub levels: Vec<(String, u32, u32)>,
    /// What was made least: one figure, or several that are compared one by one.
    pub loss: Vec<f64>,
    /// The first of them between nothing lost, 0, and every cell `*`, 1; nothing where both are the same.
    pub share_lost: Option<f64>,
    /// The mean share of a column's domain that a cell covers, every column alike. It decides nothing.
    pub unweighted: f64,
    /// Rows before suppression.
    pub rows: u64,
    /// Rows suppressed.
    pub suppressed: u64,
    /// The risk that remains.
    pub risk: Risk,
}

impl Outcome {
    /// The share of rows that are suppressed.
    pub fn share_suppressed(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.suppressed as f64 / self.rows as f64 }
    }

    /// Levels as the key `levels` of a policy takes them.
    pub fn levels_text(&self) -> String {
        let levels = self.levels.iter().map(|(column, level, _)| format!("{column}: {level}"));
        levels.collect::<Vec<_>>().join(", ")
    }

    fn average(&self) -> f64 {
        let classes = self.risk.classes;
        if classes == 0 { 0.0 } else { self.risk.rows as f64 / classes as f64 }
    }
}

/// What a table loses at the least and at the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// When every value stays.
    pub nothing: f64,
    /// When every cell becomes `*`.
    pub everything: f64,
}

impl Scale {
    /// Where a loss lies between the two. Above 1 where suppression counts more than `*`.
    pub fn share(&self, loss: &[f64]) -> Option<f64> {
        let span = self.everything - self.nothing;
        let share = (loss.first()? - self.nothing) / span;
        // A sum of many figures is not exact.
        (span > 0.0).then_some(if share.abs() < 1e-9 { 0.0 } else { share })
    }
}

/// All choices of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// The dataset.
    pub dataset: String,
    /// The digest of its policy.
    pub policy_digest: String,
    /// The version of its data.
    pub version: String,
    /// When, as ISO 8601.
    pub when: String,
    /// The columns that could identify somebody together.
    pub columns: Vec<String>,
    /// What tells persons apart, where they are counted.
    pub unit: Option<String>,
    /// Distinct combinations of the columns.
    pub combinations: u64,
    /// What decides between levels, in a sentence.
    pub decides: String,
    /// The other models that every choice gives.
    pub models: Vec<String>,
    /// The choices.
    pub points: Vec<Point>,
}

impl Choices {
    /// As an object.
    pub fn json(&self) -> Value {
        let points = self.points.iter().map(|point| match &point.outcome {
            Ok(outcome) => json!({
                "k": point.k,
                "suppress_max": point.suppress_max,
                "levels": outcome.levels.iter().map(|(column, level, last)| {
                    json!({ "column": column, "level": level, "last": last })
                }).collect::<Vec<_>>(),
                "loss": outcome.loss,
                "share_lost": outcome.share_lost,
                "loss_unweighted": outcome.unweighted,
                "suppressed_rows": outcome.suppressed,
                "suppressed_share": outcome.share_suppressed(),
                "classes": outcome.risk.classes,
                "class_rows_average": outcome.average(),
                "risk_highest": outcome.risk.prosecutor.highest,
                "risk_average": outcome.risk.prosecutor.average,
                "share_at_risk": outcome.risk.prosecutor.at_risk,
                "risk_journalist_highest": outcome.risk.journalist.highest,
            }),
            Err(why) => json!({ "k": point.k, "suppress_max": point.suppress_max, "none": why }),
        });
        json!({
            "dataset": self.dataset,
            "policy_digest": self.policy_digest,
            "data_version": self.version,
            "made": self.when,
            "quasi_identifiers": self.columns,
            "unit": self.unit,
            "combinations": self.combinations,
            "decides": self.decides,
            "other_models": self.models,
            "choices": points.collect::<Vec<_>>(),
        })
    }

    /// What stands around the page.
    pub fn frame(&self) -> Frame {
        let short = |text: &str| text.chars().take(16).collect::<String>();
        Frame {
            dataset: self.dataset.clone(),
            facts: vec![
                ("Policy", short(&self.policy_digest), self.policy_digest.clone()),
                ("Data version", short(&self.version), self.version.clone()),
                ("Made", self.when.clone(), String::new()),
            ],
            promise: "What this page is",
            general: vec![
                "Made of counts on the custodian's machine: it holds names of columns, levels, counts and shares, \
                 and no value of anybody. Nothing was released for it."
                    .to_owned(),
            ],
            columns: Vec::new(),
        }
    }

    /// As a page.
    pub fn page(&self) -> Page {
        let mut page = Page {
            stem: "search".to_owned(),
            title: "What k costs".to_owned(),
            summary: format!(
                "The optimal generalization of {} for each k and each share of rows that may be suppressed: how much \
                 detail is lost, how many rows, and what risk remains. What decides between levels: {}",
                self.columns.join(", "),
                self.decides
            ),
            columns: self.columns.clone(),
            found: true,
            ..Page::default()
        };
        page.tables.push(self.table());
        page.tables.push(self.levels());
        page.plots.push(self.plot(
            "Detail that is lost, by k",
            "Detail lost",
            &format!(
                "0 %: every value as it is. 100 %: every cell is *. What decides: {}",
                self.decides
            ),
            |outcome| outcome.share_lost,
        ));
        page.plots.push(self.plot(
            "Average risk that remains, by k",
            "Average risk",
            "The mean chance to match a row with its person, for who knows that they are in the table.",
            |outcome| Some(outcome.risk.prosecutor.average),
        ));
        page.plots.push(self.plot(
            "Rows that are left out, by k",
            "Rows left out",
            "The share of rows that no group could take. They are missing from the release.",
            |outcome| Some(outcome.share_suppressed()),
        ));
        page.notes = self.notes();
        page
    }

    fn table(&self) -> Table {
        let members = if self.unit.is_some() { "persons" } else { "rows" };
        let note = format!(
            "k counts {members}. Lost: what decides, in per cent of what it is when every cell is `*`. Loss: the \
             same as a figure, as `release show` tells it."
        );
        let mut table = Table::new(
            "choices",
            "Choices",
            &note,
            &[
                ("suppress_max", "May suppress", Show::Share),
                ("k", "k", Show::Count),
                ("share_lost", "Lost", Show::Share),
                ("loss", "Loss", Show::Number),
                ("suppressed", "Suppressed", Show::Share),
                ("classes", "Classes", Show::Count),
                ("highest", "Highest risk", Show::Share),
                ("average", "Average risk", Show::Share),
            ],
        );
        let rows = self.points.iter().map(|point| {
            let mut row = vec![json!(point.suppress_max), json!(point.k)];
            row.extend(match &point.outcome {
                Ok(outcome) => [
                    json!(outcome.share_lost),
                    json!(outcome.loss.first()),
                    json!(outcome.share_suppressed()),
                    json!(outcome.risk.classes),
                    json!(outcome.risk.prosecutor.highest),
                    json!(outcome.risk.prosecutor.average),
                ],
                Err(_) => std::array::from_fn(|_| Value::Null),
            });
            row
        });
        table.rows = rows.collect();
        table
    }

    /// The levels of each choice, or why there is none.
    fn levels(&self) -> Table {
        let mut table = Table::new(
            "levels",
            "Levels",
            "As `method: {fixed: ...}` takes them; 0 is the value itself.",
            &[
                ("suppress_max", "May suppress", Show::Share),
                ("k", "k", Show::Count),
                ("levels", "Levels", Show::Token),
            ],
        );
        let rows = self.points.iter().map(|point| {
            let levels = match &point.outcome {
                Ok(outcome) => outcome.levels_text(),
                Err(why) => why.clone(),
            };
            vec![json!(point.suppress_max), json!(point.k), json!(levels)]
        });
        table.rows = rows.collect();
        table
    }

    fn plot(
        &self,
        title: &str,
        up: &str,
        what: &str,
        of: impl Fn(&Outcome) -> Option<f64>,
    ) -> Plot {
        let mut shares: Vec<f64> = self.points.iter().map(|point| point.suppress_max).collect();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let line = |share: &f64| {
            let points = self.points.iter().filter(|point| point.suppress_max == *share);
            let figures = points
                .filter_map(|point| Some((point.k as f64, of(point.outcome.as_ref().ok()?)?)));
            let name = match *share {
                0.0 => "no row left out".to_owned(),
                share => format!("up to {} % left out", decimal(share * 100.0, 3)),
            };
            Line { name, points: figures.collect() }
        };
        let members = if self.unit.is_some() { "persons" } else { "rows" };
        Plot {
            title: title.to_owned(),
            alt: format!("{what} A line for each share of rows that may be left out."),
            shape: Shape::Lines(Lines {
                lines: shares.iter().map(line).collect(),
                across: format!("k: {members} that look alike at the least"),
                up: up.to_owned(),
                shares: true,
            }),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Levels that are chosen by the data tell a little of it. Who wants to be safe from that takes levels \
             from here (or from another year's data), writes them as `method: {fixed: {...}}`, and keeps them."
                .to_owned(),
            "Where loss hardly grows from one k to the next, take the larger k. Where it falls steeply with a little \
             suppression, few rows stand apart from all others, and leaving them out is cheaper than blurring all."
                .to_owned(),
        ];
        if !self.models.is_empty() {
            notes.push(format!("Every choice also gives: {}.", self.models.join("; ")));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::write::{html, text};
    use crate::risk::{Class, Shapes};

    fn point(k: u64, suppress_max: f64, loss: f64) -> Point {
        let shapes = Shapes::from([(Class::of_rows(k), 10)]);
        let outcome = Outcome {
            levels: vec![("age".to_owned(), 2, 4), ("sex".to_owned(), 0, 1)],
            share_lost: Scale { nothing: 0.0, everything: 0.5 }.share(&[loss, 0.7]),
            loss: vec![loss, 0.7],
            unweighted: 0.3,
            rows: 11 * k,
            suppressed: k,
            risk: Risk::new(&shapes, 0.2),
        };
        Point { k, suppress_max, outcome: Ok(outcome) }
    }

    #[test]
    fn where_nothing_can_be_lost_no_share_is_told() {
        assert_eq!(Scale { nothing: 1.0, everything: 1.0 }.share(&[1.0]), None);
        assert_eq!(Scale { nothing: -0.5, everything: 0.0 }.share(&[-0.25]), Some(0.5));
        assert_eq!(Scale { nothing: 0.0, everything: 0.5 }.share(&[]), None);
        let point = Point { outcome: point(2, 0.0, 0.1).outcome, k: 2, suppress_max: 0.0 };
        assert!(point.outcome.unwrap().levels_text().contains("age: 2"));
    }

    #[test]
    fn every_choice_stands_in_the_table_the_plots_and_the_json() {
        let none =
            Point { k: 50, suppress_max: 0.0, outcome: Err("nothing satisfies it".to_owned()) };
        let choices = Choices {
            dataset: "adult".to_owned(),
            policy_digest: "0".repeat(64),
            version: "1".repeat(64),
            when: "2026-11-21T11:00:00Z".to_owned(),
            columns: vec!["age".to_owned(), "sex".to_owned()],
            unit: None,
            combinations: 7,
            decides: "the share, weighted (age 2).".to_owned(),
            models: vec!["distinct l of occupation".to_owned()],
            points: vec![point(2, 0.0, 0.1), point(5, 0.0, 0.25), none, point(2, 0.05, 0.0)],
        };
        let page = choices.page();
        let html = html::framed(&page, &choices.frame()).unwrap();
        for words in [
            "no row left out",
            "up to 5 % left out",
            "age: 2, sex: 0",
            "9.09 %",
            "weighted (age 2)",
        ] {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("NaN") && !html.contains("https://"));
        assert!(text::body(&page).contains("nothing satisfies it"));
        let json = choices.json();
        // The loss that decides, whole, and as it is drawn: of what can be lost.
        assert_eq!(json["choices"][1]["loss"], json!([0.25, 0.7]));
        assert_eq!(json["choices"][1]["share_lost"], 0.5);
        assert_eq!(json["choices"][1]["loss_unweighted"], 0.3);
        let Shape::Lines(drawn) = &page.plots[0].shape else { panic!("no lines") };
        assert_eq!(drawn.lines[0].points, [(2.0, 0.2), (5.0, 0.5)]);
        assert!(text::body(&page).contains("50.00 %"));
        assert_eq!(json["choices"][1]["levels"][0]["last"], 4);
        assert_eq!(json["choices"][2]["none"], "nothing satisfies it");
        assert_eq!(json["choices"][0]["risk_highest"], 0.5);
    }
}
