//! `release search`: what each k and each limit of suppression would cost, as a table and a page. Builds
//! nothing and serves nothing.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::{About, Hand, closing};
use crate::cli::progress::{Progress, Unit};
use crate::cli::risk::{Shown, now, refuse, write};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::release::choice::{choices, objective};
use crate::pipeline::release::count::{Means, table};
use crate::pipeline::source;
use crate::policy::Policy;
use crate::policy::release::{Aggregate, Method, Model, Objective, ReleaseRules};
use crate::report::page::Page;
use crate::report::write::{html, text};
use crate::risk::THRESHOLD;
use crate::risk::choice::{Choices, Point};

const LONG: &str = "\
Look for the optimal generalization at several k and several limits of suppression, so that somebody can \
choose: how much detail is lost, how many rows are left out, and what risk remains.

The rows that the policy lets in are counted once. Whole columns are generalized, whatever the policy's method; \
its hierarchies, weights, objective, unit and all its models but k stand as they are written.

What is printed and written are names of columns, levels, counts and shares. Nothing is released.";

const EXAMPLES: &str = "\
Examples:
  veilflight release search adult
  veilflight release search adult --k 2,5,10 --suppress 0,0.02 --html adult-k.html --json adult-k.json
  veilflight release search slurm_jobs --figures docs/";

/// Show what each k costs, before one is chosen
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Search {
    /// The dataset
    dataset: String,
    /// Each k
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_values_t = [2, 5, 10, 25, 50],
        value_parser = clap::value_parser!(u64).range(1..))]
    k: Vec<u64>,
    /// Each share of rows that may be suppressed
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_values_t = [0.0, 0.01, 0.05],
        value_parser = share)]
    suppress: Vec<f64>,
    /// Write JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each plot as a file to this folder
    #[arg(long, value_name = "FOLDER")]
    figures: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

impl Search {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        for path in [&self.json, &self.html].into_iter().flatten() {
            refuse(path, self.force)?;
        }
        let policy = hand.policy(&self.dataset)?;
        let none = || Error::new(Code::Usage, "the policy has no release");
        let rules = policy.release.as_ref().ok_or_else(none)?;
        let about = About { dataset: &self.dataset, policy: Some(&policy), id: None, reason: None };
        let entry = hand.entry("ReleaseSearch", about)?;
        let done = self.look(hand, &policy, rules);
        let Looked { version, combinations, points } = closing(entry, done, |_| (0, 0))?;
        let others = rules.models.iter().filter(|model| !matches!(model, Model::KAnonymity { .. }));
        let quasi = rules.quasi_identifiers.iter();
        let found = Choices {
            dataset: policy.dataset.clone(),
            policy_digest: policy.digest.clone(),
            version,
            when: now(&*hand.clock),
            columns: quasi.map(|quasi| quasi.column.clone()).collect(),
            unit: rules.unit.clone(),
            combinations,
            decides: decides(rules),
            models: others.map(model).collect(),
            points,
        };
        let page = found.page();
        out.write_all(told(&page, &found).as_bytes())?;
        write(self.json.as_deref(), self.force, || Ok(format!("{:#}\n", found.json())))?;
        write(self.html.as_deref(), self.force, || html::framed(&page, &found.frame()))?;
        self.draw(&page)?;
        Ok(crate::cli::policy::DONE)
    }

    /// Reads and searches.
    fn look(&self, hand: &Hand, policy: &Arc<Policy>, rules: &ReleaseRules) -> Result<Looked> {
        let shown = Shown(Progress::start("looking for generalizations", Unit::Steps));
        shown.0.message("counting");
        let snapshot = source::snapshot(policy, 1)?;
        let means = Means::spilling_to(hand.releases.spill());
        let table = table(rules, policy, &snapshot, &shown, means)?;
        shown.0.message("choosing");
        let (mut ks, mut shares) = (self.k.clone(), self.suppress.clone());
        ks.sort_unstable();
        ks.dedup();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let points = choices(&table, rules, &ks, &shares, THRESHOLD, &shown)?;
        shown.0.finish();
        let version = snapshot.version().to_owned();
        Ok(Looked { version, combinations: table.len() as u64, points })
    }

    fn draw(&self, page: &Page) -> Result<()> {
        let Some(folder) = &self.figures else { return Ok(()) };
        std::fs::create_dir_all(folder).context(Code::Config, || {
            format!("the folder `{}` cannot be made", folder.display())
        })?;
        for (plot, name) in page.plots.iter().zip(["loss", "risk", "suppressed"]) {
            let path = folder.join(format!("{}-{name}.svg", self.dataset));
            write(Some(&path), self.force, || plot.file())?;
        }
        Ok(())
    }
}

/// What was found.
struct Looked {
    version: String,
    combinations: u64,
    points: Vec<Point>,
}

/// A model in a few words.
fn model(model: &Model) -> String {
    match model {
        Model::KAnonymity { k } => format!("k-anonymity with k = {k}"),
        Model::KMap { k } => format!("k-map with k = {k}"),
        Model::DistinctL { column, l } => format!("{l} values of {column} in each class"),
        Model::EntropyL { column, l, .. } => {
            format!("entropy l-diversity of {column} with l = {l}")
        }
        Model::RecursiveCl { column, c, l } => {
            format!("recursive ({c}, {l})-diversity of {column}")
        }
        Model::TCloseness { column, t, .. } => format!("t-closeness of {column} with t = {t}"),
        Model::DeltaPresence { min, max } => format!("delta-presence from {min} to {max}"),
        Model::BetaLikeness { column, beta, .. } => {
            format!("beta-likeness of {column} with beta = {beta}")
        }
    }
}

/// What decides between levels, in a sentence.
fn decides(rules: &ReleaseRules) -> String {
    let objective = objective(rules);
    let what = match &objective {
        Objective::Loss { aggregate, .. } => {
            let of = "the share of its column's domain that a cell covers";
            match aggregate {
                Aggregate::GeometricMean => {
                    format!("{of}, columns together by their geometric mean")
                }
                Aggregate::ArithmeticMean => format!("{of}, in the mean over columns"),
                Aggregate::Sum => format!("{of}, summed over columns"),
                Aggregate::Maximum => format!("{of}, of the column that loses most"),
                Aggregate::Rank => format!(
                    "{of}, of the column that loses most; between equals the next column decides, and so on"
                ),
            }
        }
        Objective::Entropy { .. } => {
            "the information that cells lose, in bits (entropy)".to_owned()
        }
        Objective::Discernibility { .. } => {
            "the sum of squares of the sizes of groups (discernibility)".to_owned()
        }
        Objective::ClassSize => "the mean size of groups".to_owned(),
        Objective::Precision { .. } => "the mean of level over last level (precision)".to_owned(),
        Objective::Height => "the sum of levels".to_owned(),
    };
    let by_column = !matches!(objective, Objective::Discernibility { .. } | Objective::ClassSize);
    let weights = rules.quasi_identifiers.iter().filter(|quasi| quasi.weight != 1.0);
    let weights: Vec<String> =
        weights.map(|quasi| format!("{} {}", quasi.column, quasi.weight)).collect();
    let weights = match by_column && !weights.is_empty() {
        true => format!(", weighted ({}, others 1)", weights.join(", ")),
        false => String::new(),
    };
    let gs = match objective {
        Objective::Loss { gs_factor, .. } | Objective::Entropy { gs_factor, .. }
            if gs_factor != 0.5 =>
        {
            format!(", gs_factor {gs_factor}")
        }
        _ => String::new(),
    };
    let other = match &rules.method {
        Method::Lattice { .. } => String::new(),
        method => format!(" The policy's `{}` decides by something else.", method.name()),
    };
    format!("{what}{weights}{gs}.{other}")
}

fn told(page: &Page, found: &Choices) -> String {
    let mut told = format!("{}\n{}\n", page.title, "=".repeat(page.title.chars().count()));
    told.push_str(&text::wrapped(&page.summary, 98, "", ""));
    told.push_str(&format!(
        "\ndataset {} | {} combinations | made {}\n",
        found.dataset,
        crate::report::page::thousands(&found.combinations.to_string()),
        found.when
    ));
    told + &text::body(page)
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("it lies between 0 and 1".to_owned()) }
}
