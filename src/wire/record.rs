//! The audit entry of one call, from what is known first to what is known last. Does not decide what
//! is recorded of a stream; the pipeline closes that entry.

use super::authenticate::Call;
use super::ticket::Asked;
use crate::audit::{Entry, Log, Outcome, Read, Request, Statement};
use crate::error::{Code, Context, Error, Result};
use crate::policy::Policy;

/// One call's entry: filled in, then opened, then closed once.
#[derive(Debug)]
pub struct Record {
    log: Log,
    request: Request,
    entry: Option<Entry>,
    handed_over: bool,
}

impl Record {
    /// A record that says who called what.
    pub fn new(log: &Log, call: &Call, method: &str) -> Self {
        let request = Request {
            id: call.id().to_owned(),
            partner: call.partner().name().to_owned(),
            peer: call.peer().to_owned(),
            method: method.to_owned(),
            ..Request::default()
        };
        Self { log: log.clone(), request, entry: None, handed_over: false }
    }

    /// Adds which policy answers, and for which columns.
    pub fn about(&mut self, policy: &Policy) {
        self.request.dataset = Some(policy.dataset.clone());
        self.request.policy_digest = Some(policy.digest.clone());
        self.request.columns = policy
            .columns
            .iter()
            .filter(|column| column.rule.transform.spec().verb != "drop")
            .map(|column| column.name.clone())
            .collect();
    }

    /// Adds the statement that is asked, with the hash of its parameters.
    pub fn asks(&mut self, asked: &Asked) {
        self.request.statement = Some(Statement::new(&asked.sql, &asked.parameters));
    }

    /// Adds what the statement reads. The columns are known once it was planned; an answer that only
    /// describes reads none.
    pub fn reads<'a>(&mut self, reads: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>) {
        let read = |(dataset, policy_digest, columns): (&str, &str, &[String])| Read {
            dataset: dataset.to_owned(),
            policy_digest: policy_digest.to_owned(),
            columns: columns.to_vec(),
        };
        self.request.reads = reads.into_iter().map(read).collect();
    }

    /// Adds which shard is asked for.
    pub fn of_shard(&mut self, shard: u32) {
        self.request.shard = Some(shard);
    }

    /// Makes the entry durable. Nothing of the data is looked at before this returned.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be written.
    pub async fn open(&mut self) -> Result<()> {
        if self.entry.is_some() || self.handed_over {
            return Ok(());
        }
        let (log, request) = (self.log.clone(), self.request.clone());
        self.entry = Some(in_the_background(move || log.open(request)).await?);
        Ok(())
    }

    /// Hands the open entry to the pipeline, which closes it.
    ///
    /// # Errors
    /// [`Code::Internal`] when it was never opened.
    pub fn hand_over(&mut self) -> Result<Entry> {
        self.handed_over = true;
        self.entry.take().ok_or_else(|| Error::new(Code::Internal, "the entry was not opened"))
    }

    /// Closes the entry; a call that failed before it was opened is recorded as refused. Does nothing
    /// once the entry was handed over.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be written; the answer must not leave then.
    pub async fn close(mut self, outcome: Outcome) -> Result<()> {
        if self.handed_over {
            return Ok(());
        }
        if let (None, Outcome::Failed(code)) = (&self.entry, outcome) {
            let (log, request) = (self.log, self.request);
            return in_the_background(move || log.refused(&request, code)).await;
        }
        self.open().await?;
        let entry = self.hand_over()?;
        in_the_background(move || entry.close(outcome, 0, 0)).await
    }
}

/// Runs what waits for the disk where it blocks nobody.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context(Code::State, || "the audit log did not answer".to_owned())?
}
