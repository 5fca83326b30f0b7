//! `veilflight reidentify`: the value behind a pseudonym of any kind. A token is looked up in the state,
//! an encrypted value is decrypted, and all others are found by making the pseudonyms of the dataset's
//! values again. Told on this machine, after the audit log knows.

use std::io::Write;
use std::sync::Arc;

use super::hand::Hand;
use super::mapping::lookup::{find, printable};
use super::mapping::target::{Target, Which};
use super::mapping::{OriginalsKey, Why, request};
use super::place::Place;
use super::progress::{Progress, Unit};
use crate::audit::Deed;
use crate::clock::Clock;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::reidentify::{Search, search};
use crate::pipeline::release::store::Releases;
use crate::pipeline::source::snapshot;
use crate::pipeline::transform::TokenMap;
use crate::pipeline::transform::aes_siv;

/// Tell the value behind a pseudonym
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight reidentify user_0042 --dataset jobs --column User --partner cern --reason 'ticket 4711: abuse'
  veilflight reidentify 6ylvw2kqmzxr5agb3oqbmoc4ma --dataset jobs --column User --partner cern \\
      --reason 'withdrawal of consent'

Dataset, column, partner and reason are all needed, and stand in the audit log before the answer is told. \
A token is found in the state, what `aes_siv` made is decrypted; for all others the column is read and \
its pseudonyms are made again, so the data must still be there. Where a pseudonym stands for several \
values, such as an address of which only leading bits are sent, all of them are told. Exit code 1 where \
nothing is found.")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The pseudonym, as it was sent; binary ones in hexadecimal
    pseudonym: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    key: OriginalsKey,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When the pseudonym stands for no value, or it cannot be found out.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let hand = Hand::new(args.place.clone(), clock)?;
    let target = Target::find(&args.which, &args.place, &*hand.store)?;
    let transform = target.column.rule.transform;
    if !transform.is_pseudonym() && transform.spec().verb != "pseudonym" {
        let what = format!(
            "column `{}` is under `{}`, which makes no pseudonyms",
            target.column.name,
            transform.spec().name()
        );
        return Err(Error::new(Code::Usage, what).into());
    }
    let deed = Deed {
        reason: args.why.reason.clone(),
        scope: target.has_tokens().then(|| target.keys.token_scope()),
        pseudonym: Some(args.pseudonym.clone()),
        file: None,
    };
    let columns = [args.which.column.clone()];
    let request = request("Reidentify", &args.which, &columns, &target.policy.digest, deed);
    let values = hand.audited(request, || {
        let values = args.values(&hand, &target)?;
        let count = values.len() as u64;
        Ok((values, count))
    })?;
    args.tell(&values, out).context(Code::Usage, || "the answer cannot be written".to_owned())?;
    Ok(0)
}

impl Args {
    fn values(&self, hand: &Hand, target: &Target) -> Result<Vec<String>> {
        if target.has_tokens() {
            let record = find(hand, target, &self.key, &self.pseudonym)?;
            return Ok(record.original.into_iter().collect());
        }
        let method = target.column.rule.transform.spec().name();
        if method == "pseudonym.aes_siv"
            && let Ok(value) = aes_siv::reverse(&target.keys, &self.pseudonym)
        {
            return Ok(vec![String::from_utf8_lossy(&value).into_owned()]);
        }
        let snapshot = match target.policy.release {
            // What partners hold is of the release.
            Some(_) => Releases::new(&hand.place.state, Arc::clone(&target.ring))
                .snapshot(&target.policy, 1)?,
            None => snapshot(&target.policy, 1)?,
        };
        let store = Arc::clone(&hand.store);
        let tokens: Arc<dyn TokenMap> = store;
        let progress = Progress::start("looking", Unit::Rows);
        let found = search(
            &Search {
                ring: &target.ring,
                tokens: &tokens,
                policy: &target.policy,
                partner: &self.which.partner,
                column: &self.which.column,
                epoch: target.epoch,
                today: hand.clock.today(),
            },
            &snapshot,
            &self.pseudonym,
            &mut |rows| progress.position(rows),
        );
        progress.finish();
        let found = found?;
        if found.is_null {
            let what = format!("`{}` stands for null: there is no value", self.pseudonym);
            return Err(Error::new(Code::Usage, what));
        }
        if found.values.is_empty() {
            let what = format!(
                "`{}` stands for none of the values in {} rows of `{}`: it was made from other data, for \
                 another partner, or under another epoch",
                self.pseudonym, found.rows, self.which.dataset
            );
            return Err(Error::new(Code::Usage, what));
        }
        Ok(found.values.into_iter().collect())
    }

    fn tell(&self, values: &[String], out: &mut dyn Write) -> std::io::Result<()> {
        if self.json {
            let answer = serde_json::json!({"pseudonym": self.pseudonym, "originals": values});
            serde_json::to_writer_pretty(&mut *out, &answer)?;
            return writeln!(out);
        }
        values
            .iter()
            .try_for_each(|value| writeln!(out, "{:<15} -> {}", self.pseudonym, printable(value)))
    }
}

#[cfg(test)]
mod tests;
