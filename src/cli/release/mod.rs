//! `veilflight release`: whole-table releases by hand: built, looked at, verified, withdrawn. One file a verb;
//! what they do is in `pipeline/release`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::hand::reason;
use super::place::Place;
use crate::audit::{Deed, Entry, Outcome, Request};
use crate::clock::Clock;
use crate::diagnostic::{did_you_mean, no_policy_has};
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::pipeline::release::pins::{Note, Pins};
use crate::pipeline::release::store::Releases;
use crate::policy::Policy;
use crate::policy::stored::layout;
use crate::server::loader;
use crate::wire::catalog::Catalog;

mod build;
mod list;
mod search;
mod show;
#[cfg(test)]
mod tests;
mod verify;
mod withdraw;

pub(super) use build::unit_of;

/// Build, list, verify and withdraw releases
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight release search adult            what each k would cost
  veilflight release build adult             count, generalize, measure, and serve from then on
  veilflight release list                    what is served, and what was
  veilflight release show adult              how it was made, and what it gives
  veilflight release verify adult            hash and measure its files again
  veilflight release withdraw adult --reason 'the consent form changed'

A release is built once for a state of the data and the rules of its policy; every partner gets the same \
rows. A running server serves it from the next request on.")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The folder of policies
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "policies",
        env = "VEILFLIGHT_POLICIES"
    )]
    policies: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Build(build::Build),
    List(list::List),
    Search(search::Search),
    Show(show::Show),
    Verify(verify::Verify),
    Withdraw(withdraw::Withdraw),
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When what is asked for is not there, or cannot be done.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let ring = args.place.ring()?;
    let releases = Releases::new(&args.place.state, Arc::clone(&ring));
    let hand = Hand { place: args.place, policies: args.policies, clock, ring, releases };
    match args.verb {
        Verb::Build(build) => build.run(&hand, out),
        Verb::List(list) => list.run(&hand, out),
        Verb::Search(search) => search.run(&hand, out),
        Verb::Show(show) => show.run(&hand, out),
        Verb::Verify(verify) => verify.run(&hand, out),
        Verb::Withdraw(withdraw) => withdraw.run(&hand, out),
    }
}

/// Policies by the name of their dataset.
type Policies = Arc<BTreeMap<String, Arc<Policy>>>;

/// What works by hand needs.
struct Hand {
    place: Place,
    policies: PathBuf,
    clock: Arc<dyn Clock>,
    ring: Arc<KeyRing>,
    releases: Releases,
}

impl Hand {
    fn catalog(&self) -> Result<Catalog> {
        Catalog::open(&self.policies, 1, self.releases.clone(), loader())
    }

    /// All policies, and whether they could be loaded. What was built outlives its policy, so that verbs that look
    /// at releases go on without.
    fn policies_if_any(&self) -> (Policies, bool) {
        match self.policies.is_dir().then(|| self.catalog()).transpose() {
            Ok(catalog) => (catalog.map(|all| all.policies()).unwrap_or_default(), true),
            Err(_) => (Policies::default(), false),
        }
    }

    /// The policy of a dataset that has a release.
    fn policy(&self, dataset: &str) -> Result<Arc<Policy>> {
        let catalog = self.catalog()?;
        let Some(policy) = catalog.policy(dataset) else {
            let all = catalog.policies();
            let names = all.keys().map(String::as_str);
            return Err(Error::new(Code::Usage, no_policy_has("dataset", dataset, names)));
        };
        if policy.release.is_none() {
            let what = format!(
                "the policy of `{dataset}` asks for no release: add `release` to `{}`",
                policy.path.display()
            );
            return Err(Error::new(Code::Usage, what));
        }
        Ok(policy)
    }

    /// An entry in the audit log, durable before anything is read.
    fn entry(&self, method: &str, about: About<'_>) -> Result<Entry> {
        let log = self.place.log_or_create(Arc::clone(&self.clock), &self.ring)?;
        let rules = about.policy.and_then(|policy| Some((policy, policy.release.as_ref()?)));
        let columns = rules.map(|(policy, rules)| layout(policy, rules)).unwrap_or_default();
        let reason = about.reason.unwrap_or_default().to_owned();
        log.open(Request {
            id: "command line".to_owned(),
            peer: "this machine".to_owned(),
            method: method.to_owned(),
            dataset: Some(about.dataset.to_owned()),
            policy_digest: about.policy.map(|policy| policy.digest.clone()),
            columns: columns.into_iter().map(|(column, _)| column.name.clone()).collect(),
            deed: Some(Deed { reason, scope: about.id.map(str::to_owned), ..Deed::default() }),
            ..Request::default()
        })
    }

    /// The pins of a dataset that has releases, and the one of this name, or the one that is served, or the
    /// last.
    fn note(&self, dataset: &str, id: Option<&str>) -> Result<(Pins, Note)> {
        let pins = self.releases.pins(dataset)?;
        let found = match id {
            Some(id) => pins.note(id),
            None => pins.current().or(pins.history.last()),
        };
        let Some(note) = found.cloned() else {
            let what = match id {
                Some(id) => format!("`{dataset}` has no release `{id}`"),
                None if pins.history.is_empty() => self.unbuilt(dataset),
                None => format!("`{dataset}` has no release"),
            };
            return Err(Error::new(Code::Usage, what));
        };
        Ok((pins, note))
    }

    /// Why a dataset has no release: it may be misspelt, or its release not built.
    fn unbuilt(&self, dataset: &str) -> String {
        let (policies, _) = self.policies_if_any();
        let asks = |name: &str| policies.get(name).is_some_and(|policy| policy.release.is_some());
        if asks(dataset) || policies.is_empty() {
            return format!(
                "no release of `{dataset}` is built; `veilflight release build {dataset}` builds it"
            );
        }
        let mut what = format!("`{dataset}` has no release");
        let built = self.releases.datasets().unwrap_or_default();
        let known = policies.keys().map(String::as_str).filter(|name| asks(name));
        if let Some(near) = did_you_mean(dataset, known.chain(built.iter().map(String::as_str))) {
            what.push_str(&format!("; did you mean `{near}`?"));
        }
        what
    }
}

/// What an entry is about.
#[derive(Clone, Copy)]
struct About<'a> {
    dataset: &'a str,
    policy: Option<&'a Policy>,
    id: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Closes an entry as the work ended. What was done is told only when it is recorded.
fn closing<T>(entry: Entry, done: Result<T>, rows: impl Fn(&T) -> (u64, u64)) -> Result<T> {
    let (outcome, (rows, bytes)) = match &done {
        Ok(done) => (Outcome::Done, rows(done)),
        Err(error) => (Outcome::Failed(error.code()), (0, 0)),
    };
    let closed = entry.close(outcome, rows, bytes);
    let done = done?;
    closed.map(|()| done)
}

/// Whether a release is served, in a few words. `policy` is the dataset's, where it is known.
fn state(pins: &Pins, note: &Note, policy: Option<&Policy>) -> &'static str {
    let served = pins.current().is_some_and(|current| current == note);
    let other = |policy: &Policy| policy.release_digest().as_ref() != Some(&note.release_digest);
    match (&note.withdrawn, served) {
        (Some(_), _) => "withdrawn",
        (None, true) if policy.is_some_and(other) => "stale (the policy has other rules now)",
        (None, true) => "served",
        (None, false) => "replaced",
    }
}
