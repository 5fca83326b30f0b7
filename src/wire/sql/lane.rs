//! By which way a statement is answered: over the views that it names, or over one that is granted with noise.
//! Plans nothing itself.

use arrow::datatypes::SchemaRef;

use super::super::flights::Flights;
use super::super::ticket::Asked;
use super::statement::means;
use crate::error::{Code, Error, Hint, Result};
use crate::pipeline::noise::curator::Inquiry;
use crate::pipeline::query::{Query, Statement, Terms, View};
use crate::policy::Access;

/// What a statement came to.
pub(in crate::wire) enum Lane {
    /// Rows or aggregates, from the engine.
    Plain(Query),
    /// An answer with noise, from the curator.
    Noisy(Inquiry),
}

impl Lane {
    /// Plans a statement over views, by the way that their grants want.
    ///
    /// PRIVACY: what is granted with noise is asked alone: beside anything else its rows would be joined, and
    /// counted, before noise.
    ///
    /// # Errors
    /// [`Code::NoisyOnly`] for what is granted with noise beside something else, and those of planning.
    pub(super) async fn of(
        flights: &Flights,
        statement: &Statement,
        asked: &Asked,
        mut views: Vec<View>,
    ) -> Result<Self> {
        let named =
            |view: &View| statement.tables().iter().any(|word| means(word, view.plan.policy()));
        let noisy = |view: &&View| matches!(view.plan.access(), Access::Dp(_)) && named(view);
        let Some(first) = views.iter().position(|view| noisy(&view)) else {
            let query = flights.engine.plan(statement, &terms(asked), views).await?;
            return Ok(Self::Plain(query));
        };
        if statement.reads_information_schema()
            || views.iter().filter(|view| named(view)).count() > 1
        {
            let name = views.get(first).map_or("", |view| view.plan.dataset());
            let hint = format!(
                "`{name}` is granted with noise and is asked alone or with its own public tables"
            );
            return Err(
                Error::new(Code::NoisyOnly, "noise beside other tables").hinting(Hint::new(&hint))
            );
        }
        // Others are of datasets of which only a public table is named: the curator says that there is none.
        let view = views.swap_remove(first);
        let inquiry =
            flights.curator.describe(statement, &terms(asked), view, asked.epsilon).await?;
        Ok(Self::Noisy(inquiry))
    }

    /// The exact schema of the answer, in plain types.
    pub(in crate::wire) fn schema(&self) -> &SchemaRef {
        match self {
            Self::Plain(query) => query.schema(),
            Self::Noisy(inquiry) => inquiry.schema(),
        }
    }

    /// The types of the parameters.
    pub(super) fn parameters(&self) -> &SchemaRef {
        match self {
            Self::Plain(query) => query.parameters(),
            Self::Noisy(inquiry) => inquiry.parameters(),
        }
    }

    /// Into how many endpoints the answer may be split.
    pub(super) fn shards(&self) -> u32 {
        match self {
            Self::Plain(query) => query.shards(),
            Self::Noisy(_) => 1,
        }
    }

    /// Whether the order of rows means something.
    pub(super) fn ordered(&self) -> bool {
        match self {
            Self::Plain(query) => query.ordered(),
            Self::Noisy(inquiry) => inquiry.ordered(),
        }
    }

    /// What is read: columns by dataset.
    pub(super) fn reads(&self) -> Vec<(String, Vec<String>)> {
        match self {
            Self::Plain(query) => query.reads(),
            Self::Noisy(inquiry) => inquiry.reads(),
        }
    }

    /// What is asked, with the cost that it was told to have: a ticket costs what was shown with it.
    pub(super) fn settled(&self, asked: Asked) -> Asked {
        match self {
            Self::Plain(_) => asked,
            Self::Noisy(inquiry) => Asked { epsilon: Some(inquiry.cost().epsilon), ..asked },
        }
    }
}

fn terms(asked: &Asked) -> Terms {
    Terms { parameters: asked.parameters.clone(), time_zone: asked.time_zone.clone() }
}
