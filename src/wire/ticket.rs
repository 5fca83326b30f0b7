//! Tickets: what a partner hands back to get one shard. Sealed, so that a ticket can be neither read
//! nor made up, and bound to one partner, one policy, one state of the data and a time. A ticket may
//! be used again until it expires, so that a broken pull can be repeated. Whether the policy and the
//! data are still the same is for the caller to compare.

use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::keys::envelope::Envelope;

/// No genuine ticket is longer, in bytes.
pub const TICKET_BYTES_MAX: usize = 2048;

/// The layout of the sealed bytes.
const VERSION: u8 = 1;

/// One answer to "what flights are there", which all its tickets share.
pub type PlanId = [u8; 16];

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who may use it.
    pub partner: String,
    /// The dataset.
    pub dataset: String,
    /// The digest of the policy that was planned.
    pub policy_digest: String,
    /// The version of the data that was planned.
    pub data_version: String,
    /// Which shard, from 0.
    pub shard: u32,
    /// The answer it belongs to; cancelling works on all tickets of one answer.
    pub plan: PlanId,
    /// The last second it is good for, since 1970.
    pub expires_seconds: i64,
}

impl Ticket {
    /// Whether `partner` may use it at this second.
    ///
    /// # Errors
    /// [`Code::TicketForeign`], [`Code::TicketExpired`].
    pub fn check(&self, partner: &str, now_seconds: i64) -> Result<()> {
        if self.partner != partner {
            return Err(Error::new(
                Code::TicketForeign,
                format!("`{partner}` came with a ticket of `{}`", self.partner),
            ));
        }
        if now_seconds > self.expires_seconds {
            let late = now_seconds.saturating_sub(self.expires_seconds);
            return Err(Error::new(Code::TicketExpired, format!("expired {late} s ago")));
        }
        Ok(())
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![VERSION];
        for text in [&self.partner, &self.dataset, &self.policy_digest, &self.data_version] {
            let len = u16::try_from(text.len())
                .map_err(|_| Error::new(Code::Internal, "a name is too long for a ticket"))?;
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.extend_from_slice(&self.plan);
        bytes.extend_from_slice(&self.expires_seconds.to_be_bytes());
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [VERSION] = *take::<1>(&mut rest)? else { return None };
        let ticket = Self {
            partner: text(&mut rest)?,
            dataset: text(&mut rest)?,
            policy_digest: text(&mut rest)?,
            data_version: text(&mut rest)?,
            shard: u32::from_be_bytes(*take(&mut rest)?),
            plan: *take(&mut rest)?,
            expires_seconds: i64::from_be_bytes(*take(&mut rest)?),
        };
        rest.is_empty().then_some(ticket)
    }
}

/// Makes and opens tickets.
#[derive(Debug)]
pub struct Tickets {
    envelope: Envelope,
}

impl Tickets {
    /// Tickets sealed with a key from `ring`; every replica with the same ring can open them.
    ///
    /// # Errors
    /// [`Code::Keys`] when a key cannot be derived.
    pub fn new(ring: &KeyRing) -> Result<Self> {
        Ok(Self { envelope: Envelope::new(ring, "ticket")? })
    }

    /// The sealed ticket.
    ///
    /// # Errors
    /// [`Code::Internal`] when a name is too long or there are no random bytes.
    pub fn seal(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        let sealed = self.envelope.seal(&ticket.encode()?)?;
        if sealed.len() > TICKET_BYTES_MAX {
            return Err(Error::new(Code::Internal, "names are too long for a ticket"));
        }
        Ok(sealed)
    }

    /// What a sealed ticket says. Nothing of it is to be believed before [`Ticket::check`].
    ///
    /// # Errors
    /// [`Code::TicketInvalid`] when it was not made here, or was changed since.
    pub fn open(&self, sealed: &[u8]) -> Result<Ticket> {
        if sealed.len() > TICKET_BYTES_MAX {
            return Err(Error::new(Code::TicketInvalid, "longer than any ticket"));
        }
        let bytes = self.envelope.open(sealed)?;
        Ticket::decode(&bytes)
            .ok_or_else(|| Error::new(Code::TicketInvalid, "authentic, but of another layout"))
    }
}

/// A new plan id.
///
/// # Errors
/// [`Code::Internal`] when the system has no random bytes.
pub fn new_plan_id() -> Result<PlanId> {
    let mut id = PlanId::default();
    getrandom::fill(&mut id)
        .map_err(|cause| Error::new(Code::Internal, "no random bytes").because(cause))?;
    Ok(id)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let len = usize::from(u16::from_be_bytes(*take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Secret;

    fn tickets(byte: u8) -> Tickets {
        Tickets::new(&KeyRing::new(vec![(1, Secret::new([byte; 32]))]).unwrap()).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket {
            partner: "cern".to_owned(),
            dataset: "jobs".to_owned(),
            policy_digest: "ab".repeat(32),
            data_version: "cd".repeat(32),
            shard: 7,
            plan: [9; 16],
            expires_seconds: 1_000,
        }
    }

    #[test]
    fn a_sealed_ticket_opens_as_it_was() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        assert_eq!(tickets(1).open(&sealed).unwrap(), ticket());
    }

    #[test]
    fn a_ticket_shows_nothing_it_says() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        for secret in ["cern", "jobs", "abab", "cdcd"] {
            assert!(!sealed.windows(4).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn a_ticket_of_another_installation_is_invalid() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        assert_eq!(tickets(2).open(&sealed).unwrap_err().code(), Code::TicketInvalid);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x40;
            assert_eq!(tickets(1).open(&changed).unwrap_err().code(), Code::TicketInvalid, "{at}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_unread() {
        let error = tickets(1).open(&vec![0; TICKET_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.code(), Code::TicketInvalid);
        let long = Ticket { dataset: "x".repeat(TICKET_BYTES_MAX), ..ticket() };
        assert_eq!(tickets(1).seal(&long).unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn the_last_second_counts_and_the_next_does_not() {
        assert!(ticket().check("cern", 1_000).is_ok());
        assert_eq!(ticket().check("cern", 1_001).unwrap_err().code(), Code::TicketExpired);
    }

    #[test]
    fn another_partner_is_told_so_even_after_expiry() {
        assert_eq!(ticket().check("fnal", 2_000).unwrap_err().code(), Code::TicketForeign);
    }

    #[test]
    fn bytes_after_the_end_and_other_versions_are_refused() {
        let mut bytes = ticket().encode().unwrap();
        bytes.push(0);
        assert_eq!(Ticket::decode(&bytes), None);
        let mut bytes = ticket().encode().unwrap();
        bytes[0] = 2;
        assert_eq!(Ticket::decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_ticket_survives_and_any_bytes_are_safe_to_decode(
            partner in ".{0,40}", dataset in ".{0,40}", shard: u32, expires_seconds: i64,
            noise: Vec<u8>,
        ) {
            let ticket = Ticket { partner, dataset, shard, expires_seconds, ..ticket() };
            let bytes = ticket.encode().unwrap();
            prop_assert_eq!(Ticket::decode(&bytes), Some(ticket));
            let _ = Ticket::decode(&noise);
            let _ = tickets(1).open(&noise);
        }
    }
}
