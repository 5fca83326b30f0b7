//! The way of one statement over a dataset that is granted with noise: what it asks and costs, without spending
//! ([`Curator::describe`]); and its answer, the stored one or a new one that is paid before a row is read
//! ([`Curator::open`]). Keeps no book, adds no noise, plans nothing itself.
//!
//! What leaves: the schema at once, the answer at a tick, an error after spending at a tick and in one code. So
//! neither the time of an answer nor its failure tells more of the rows than ticks do.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::execution::context::SessionState;
use futures::FutureExt;

use crate::audit::{Entry, Outcome, Payment};
use crate::budget::Reservation;
use crate::budget::ledger::{Account, Balance, Ledger, Spent};
use crate::error::{Code, Context, Error, Hint, Result};
use crate::identity::Partner;
use crate::pipeline::format::Format;
use crate::pipeline::query::{Engine, Statement, Table, Terms, View};
use crate::pipeline::stream::{Outlet, SealedStream, panicked};
use crate::policy::Access;
use crate::policy::decimal::Decimal;
use crate::policy::plan::Plan;
use crate::policy::privacy::{Accounting, DpGrant, Loss};

use super::ask::{self, Asked};
use super::bound;
use super::mechanism::{self, Generator, interval};
use super::question::{Answer, Noise};

mod expect;
mod kept;
mod tick;

pub use expect::{Clipped, Expected, Measured};
use tick::Tick;

/// Answers statements with noise.
#[derive(Debug)]
pub struct Curator {
    engine: Arc<Engine>,
    ledger: Arc<Ledger>,
    generator: Generator,
    tick: Duration,
}

/// A statement that was looked at: what it asks, what it costs, what there is to spend. Nothing was spent for it,
/// and no row was read.
#[derive(Clone)]
pub struct Inquiry(Arc<Looked>);

struct Looked {
    view: View,
    asked: Asked,
    state: SessionState,
    account: Account,
    /// What a stored answer is found by.
    digest: String,
    schema: SchemaRef,
    stored: bool,
    balance: Balance,
    expected: Expected,
}

impl Curator {
    /// A curator with a generator of its own. Answers leave `tick` after their beginning, or twice as late, or four
    /// times.
    ///
    /// # Errors
    /// [`Code::Config`] when the generator cannot be started.
    pub fn new(engine: Arc<Engine>, ledger: Arc<Ledger>, tick: Duration) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { engine, ledger, generator: Generator::start()?, tick }))
    }

    /// Looks at a statement over one view: what would be answered, at which cost. Spends nothing and reads no row.
    /// Without `epsilon` the grant's own for a statement counts.
    ///
    /// # Errors
    /// [`Code::NoisyOnly`] with a hint for what is not answered with noise, [`Code::RequestInvalid`] for an
    /// epsilon that is not granted, those of planning, [`Code::State`] when the book cannot be read.
    pub async fn describe(
        &self,
        statement: &Statement,
        terms: &Terms,
        view: View,
        epsilon: Option<Decimal>,
    ) -> Result<Inquiry> {
        let grant = granted(&view.plan)?.clone();
        let account = Account::new(view.plan.policy(), view.plan.partner(), &grant);
        let (named, statement, own_terms) = (statement.clone(), statement.clone(), terms.clone());
        let look = move |table: &Table, state: &SessionState| {
            let policy = table.plan.policy();
            let asked =
                ask::question(&statement, &own_terms, table, &grant, policy, epsilon, state)?;
            Ok((asked, state.clone()))
        };
        let (asked, state) = self.engine.look(terms, view.clone(), &named, look).await?;
        // For the audit of epsilon, which must see what bounding is for; there is no such dataset in other builds.
        #[cfg(test)]
        let asked = {
            let mut asked = asked;
            asked.question.bounding.off = account.dataset == "unbounded";
            asked
        };
        let digest = asked.question.digest(view.snapshot.version(), &view.plan.policy().digest);
        let (stored, balance) = {
            let (ledger, account, digest) =
                (Arc::clone(&self.ledger), account.clone(), digest.clone());
            // A question with open parameters is none yet.
            let open = asked.open;
            in_the_background(move || {
                let stored = !open && ledger.answer(&account, &digest)?.is_some();
                Ok((stored, ledger.balance(&account)?))
            })
            .await?
        };
        affordable(asked.question.loss, &balance, granted(&view.plan)?, account.accounting)?;
        let schema = Arc::clone(&asked.schema);
        let expected = {
            let policy = view.plan.policy();
            expect::expected(&asked, policy, granted(&view.plan)?)?
        };
        Ok(Inquiry(Arc::new(Looked {
            view,
            asked,
            state,
            account,
            digest,
            schema,
            stored,
            balance,
            expected,
        })))
    }

    /// What an account has.
    ///
    /// # Errors
    /// [`Code::State`] when the book cannot be read.
    pub async fn balance(&self, account: &Account) -> Result<Balance> {
        let (ledger, account) = (Arc::clone(&self.ledger), account.clone());
        in_the_background(move || ledger.balance(&account)).await
    }

    /// Opens the stream of an answer. Who asks, what was looked at, what was reserved and what is recorded: all
    /// four are needed. A stored answer is given for nothing; else the loss is spent, durably, and then the rows
    /// are read.
    ///
    /// A partner who hangs up while the answer is made does not stop it: what they paid for is stored, and there
    /// when they ask again. Their turn is held until the tick, so hanging up gives no more turns than waiting.
    ///
    /// The entry closes when the stream ends, fails or is dropped. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Code::ParametersInvalid`] when parameters are open, [`Code::DatasetUnknown`] when it was looked at for
    /// another partner.
    pub fn open(
        self: &Arc<Self>,
        partner: &Partner,
        inquiry: Inquiry,
        format: Format,
        reservation: Reservation,
        entry: Entry,
    ) -> Result<SealedStream> {
        let looked = &inquiry.0;
        let refused = if looked.account.partner != partner.name() {
            Some(Error::new(
                Code::DatasetUnknown,
                "the statement was looked at for another partner",
            ))
        } else if looked.asked.open {
            Some(Error::new(Code::ParametersInvalid, "parameters have no values"))
        } else {
            None
        };
        if let Some(error) = refused {
            entry.close(Outcome::Failed(error.code()), 0, 0)?;
            return Err(error);
        }
        let subject = format!("an answer with noise over `{}`", looked.asked.question.dataset);
        let schema = Arc::clone(&looked.schema);
        let limits = self.engine.stream_limits();
        let (outlet, stream) = Outlet::open(limits, schema, format, reservation, entry, subject)?;
        let sitting =
            Sitting { curator: Arc::clone(self), inquiry, format, tick: Tick::new(self.tick) };
        // A runtime that is being shut down drops what it is given: then the outlet says so.
        self.engine.runtime()?.spawn(sitting.work(outlet));
        Ok(stream)
    }
}

impl Inquiry {
    /// The exact schema of the answer, in plain types.
    pub fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// The types of the parameters, in order, named `$1`, `$2`, ... Empty where there are none.
    pub fn parameters(&self) -> &SchemaRef {
        &self.0.asked.parameters
    }

    /// What is read: columns by dataset, both by name.
    pub fn reads(&self) -> Vec<(String, Vec<String>)> {
        vec![(self.0.account.dataset.clone(), self.0.asked.reads.clone())]
    }

    /// Whose account pays.
    pub fn account(&self) -> &Account {
        &self.0.account
    }

    /// What the grant says of contributions.
    ///
    /// # Errors
    /// [`Code::Internal`] where there is none, which would be a defect.
    pub fn grant(&self) -> Result<&DpGrant> {
        granted(&self.0.view.plan)
    }

    /// What a new answer costs, exactly.
    pub fn cost(&self) -> Loss {
        self.0.asked.question.loss
    }

    /// Whether the answer is there already, and free.
    pub fn is_stored(&self) -> bool {
        self.0.stored
    }

    /// What there was to spend when it was looked at.
    pub fn balance(&self) -> Balance {
        self.0.balance
    }

    /// Whether the order of the answer's rows was asked for.
    pub fn ordered(&self) -> bool {
        self.0.asked.ordered
    }

    /// What is known of the noise, and estimated of what is left out.
    pub fn expected(&self) -> &Expected {
        &self.0.expected
    }
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiry")
            .field("account", &self.0.account)
            .field("schema", &self.0.schema)
            .finish_non_exhaustive()
    }
}

/// The grant that a plan was made under.
fn granted(plan: &Plan) -> Result<&DpGrant> {
    match plan.access() {
        Access::Dp(grant) => Ok(grant),
        Access::Rows | Access::Aggregates { .. } => {
            Err(Error::new(Code::Internal, "a plan that is not for noise reached the curator"))
        }
    }
}

/// How many statements a grant pays for at most: one costs no less than its part. Where losses add up as their
/// squares do, a hundredth is as little.
const STATEMENTS_MAX: u64 = 10_000;

/// Refuses a loss that the account has not even before anything is spent, and one that is next to nothing.
///
/// PRIVACY: who may ask for next to nothing may ask without end; and how long answers take, and what is stored of
/// them, is not paid by epsilon.
fn affordable(
    loss: Loss,
    balance: &Balance,
    grant: &DpGrant,
    accounting: Accounting,
) -> Result<()> {
    let parts = match accounting {
        Accounting::Pure => STATEMENTS_MAX,
        Accounting::Zcdp => STATEMENTS_MAX.isqrt(),
    };
    // What the policy says of a statement is always possible.
    let least = grant.query.epsilon.min(grant.total.epsilon.over(parts));
    let most = balance.total.epsilon;
    let hint = if loss.epsilon > most {
        format!("`epsilon` is at most {most}, which is all that you are granted")
    } else if loss.epsilon < least {
        format!("`epsilon` is at least {least}")
    } else {
        return Ok(());
    };
    Err(Error::new(Code::RequestInvalid, "an epsilon out of range").hinting(Hint::new(&hint)))
}

/// One answer under way.
struct Sitting {
    curator: Arc<Curator>,
    inquiry: Inquiry,
    format: Format,
    tick: Tick,
}

impl Sitting {
    async fn work(self, mut outlet: Outlet) {
        // After a panic nothing is used but the outlet's counts, for the entry.
        let result = AssertUnwindSafe(self.sit(&mut outlet)).catch_unwind().await;
        let result = result.unwrap_or_else(|_| panicked());
        tokio::task::block_in_place(|| outlet.close(result));
    }

    async fn sit(&self, outlet: &mut Outlet) -> Result<()> {
        let (answer, spent) = match self.stored().await? {
            Some(answer) => {
                outlet.note_payment(Payment::stored());
                (Ok((answer, Vec::new())), None)
            }
            None => {
                let spent = Arc::new(self.spend().await?);
                tracing::debug!(spent = ?self.tick.gone(), "a loss was made durable");
                outlet.note_payment(Payment::of(spent.loss(), spent.entry()));
                self.tell(&spent);
                let made = AssertUnwindSafe(self.make(Arc::clone(&spent), outlet));
                (made.catch_unwind().await.unwrap_or_else(|_| panicked()), Some(spent))
            }
        };
        // PRIVACY: until the tick nothing shows that the work is done: no answer, no error, no answer that is
        // stored, no question that can be asked again, no turn that is free. So nobody is spared the wait.
        self.tick.wait().await;
        let answer = match (answer, spent) {
            (Ok((answer, bytes)), Some(spent)) => {
                // INVARIANT: what leaves is kept before.
                in_the_background(move || spent.keep(&bytes)).await.map(|()| answer)
            }
            (answer, _) => answer.map(|(answer, _)| answer),
        };
        // PRIVACY: whatever went wrong once rows were read is told in one code: that memory, time or a disk did
        // not suffice may depend on the rows.
        let answer = answer.map_err(|error| Error::new(Code::AnswerFailed, error.chain()))?;
        self.deliver(&answer, outlet).await
    }

    /// Tells the operator.
    fn tell(&self, spent: &Spent) {
        let Loss { epsilon, delta } = spent.loss();
        let Account { partner, dataset, .. } = &self.inquiry.0.account;
        let entry = spent.entry();
        tracing::info!(partner, dataset, %epsilon, %delta, entry, "privacy loss was spent");
    }

    /// The answer that was given before.
    async fn stored(&self) -> Result<Option<Answer>> {
        let (ledger, looked) = (Arc::clone(&self.curator.ledger), Arc::clone(&self.inquiry.0));
        in_the_background(move || {
            let bytes = ledger.answer(&looked.account, &looked.digest)?;
            bytes.map(|bytes| kept::read(&bytes)).transpose()
        })
        .await
    }

    async fn spend(&self) -> Result<Spent> {
        let (ledger, looked) = (Arc::clone(&self.curator.ledger), Arc::clone(&self.inquiry.0));
        in_the_background(move || {
            let question = &looked.asked.question;
            ledger.spend(&looked.account, &looked.digest, &question.canonical, question.loss)
        })
        .await
    }

    /// Reads the rows and adds the noise: the answer, and the bytes that are kept of it.
    async fn make(&self, spent: Arc<Spent>, outlet: &Outlet) -> Result<(Answer, Vec<u8>)> {
        let tick = self.tick;
        let (curator, looked) = (Arc::clone(&self.curator), Arc::clone(&self.inquiry.0));
        let state = looked.state.clone();
        let asked = Arc::clone(&looked);
        let keys = curator.engine.sample_keys(&looked.view.plan);
        let exact = self.curator.engine.errand(
            state,
            outlet.place(),
            outlet.query_time(),
            move |state| async move { bound::exact(&asked.asked.question, &state, &keys).await },
        );
        let exact = exact.await?;
        let bounded = tick.gone();
        in_the_background(move || {
            let noisy =
                mechanism::measure(&looked.asked.question, exact, &spent, &curator.generator)?;
            let answer = looked.asked.answer(&noisy)?;
            let bytes = kept::write(&answer)?;
            tracing::debug!(?bounded, noised = ?tick.gone(), "an answer was made");
            Ok((answer, bytes))
        })
        .await
    }

    /// Works what stands above the aggregation, over noisy values only.
    async fn deliver(&self, answer: &Answer, outlet: &mut Outlet) -> Result<()> {
        let looked = &self.inquiry.0;
        // What cannot be said of a noise is no number, and shows as null.
        let half_width = |terms: &[(f64, &Noise)], level: f64| {
            interval::half_width(terms, level).unwrap_or(f64::NAN)
        };
        let plan = looked.asked.upper(answer, &half_width)?;
        let (state, schema) = (looked.state.clone(), Arc::clone(&looked.schema));
        self.curator.engine.send(&plan, state, schema, self.format, outlet).await
    }
}

/// Runs what waits for a disk or a thread where it blocks nobody.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context(Code::Internal, || "a part of an answer's work did not finish".to_owned())?
}
