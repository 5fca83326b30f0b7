//! `release search`: what each k and each limit of suppression would cost, as a table and a page. Builds
//! nothing and serves nothing.

use std::io::Write;
use std::path::PathBuf;

use super::{Hand, Policies};
use crate::cli::progress::{Progress, Unit};
use crate::cli::risk::{Shown, now, refuse, write};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::release::choice::choices;
use crate::pipeline::release::count::{Means, table};
use crate::pipeline::source;
use crate::policy::release::Model;
use crate::report::page::Page;
use crate::report::write::{html, text};
use crate::risk::THRESHOLD;
use crate::risk::choice::Choices;

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
    #[command(flatten)]
    policies: Policies,
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
        let policy = hand.policy(&self.policies, &self.dataset)?;
        let none = || Error::new(Code::Usage, "the policy has no release");
        let rules = policy.release.as_ref().ok_or_else(none)?;
        let shown = Shown(Progress::start("looking for generalizations", Unit::Steps));
        shown.0.message("counting");
        let snapshot = source::snapshot(&policy, 1)?;
        let means = Means::spilling_to(hand.releases.spill());
        let table = table(rules, &policy, &snapshot, &shown, means)?;
        shown.0.message("choosing");
        let (mut ks, mut shares) = (self.k.clone(), self.suppress.clone());
        ks.sort_unstable();
        ks.dedup();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let points = choices(&table, rules, &ks, &shares, THRESHOLD, &shown)?;
        shown.0.finish();
        let others = rules.models.iter().filter(|model| !matches!(model, Model::KAnonymity { .. }));
        let quasi = rules.quasi_identifiers.iter();
        let found = Choices {
            dataset: policy.dataset.clone(),
            policy_digest: policy.digest.clone(),
            version: snapshot.version().to_owned(),
            when: now(&*hand.clock),
            columns: quasi.map(|quasi| quasi.column.clone()).collect(),
            unit: rules.unit.clone(),
            combinations: table.len() as u64,
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
