//! `ip: truncate`: the network an address lies in. No key is involved, so anyone can compare it with
//! addresses they know.

use arrow::datatypes::DataType;

use super::address::{self, AddressKernel, Scheme};
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, change};
use crate::error::Result;
use crate::policy::args::Args;

/// The network part of an address.
///
/// - What it does: sets the host's bits to zero: `192.0.2.77` becomes `192.0.2.0`. `::ffff:a.b.c.d` is
///   the IPv4 address.
/// - What it hides: which host of its network an address is.
/// - What still leaks: the network in clear, and with it the organisation, and often the place.
#[derive(Debug)]
pub(super) struct TruncateAddress;

static SPEC: Spec = Spec {
    verb: "ip",
    method: Some("truncate"),
    primary: None,
    params: &[
        address::INVALID,
        address::bits_param(true, 24, "Leading bits of an IPv4 address that leave."),
        address::bits_param(false, 48, "Leading bits of an IPv6 address that leave."),
    ],
    does: "Sets the host's bits of an IP address to zero.",
    hides: "Which host of its network an address is.",
    leaks: "The network in clear, which names the organisation and often the place; in a network with \
            few hosts, the host.",
    takes: address::TAKES,
    example: "{ip: {method: truncate, v4_bits: 16, v6_bits: 32}}",
    references: &["RFC 6235 (IP Flow Anonymization Support)"],
};

impl Transform for TruncateAddress {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        address::output(args, input)
    }

    fn adds_nulls(&self, args: &Args) -> bool {
        address::adds_nulls(args)
    }

    fn is_keyed(&self, args: &Args) -> bool {
        args.text("invalid") == Some("token")
    }

    fn exposure(&self, args: &Args) -> Exposure {
        match (args.integer("v4_bits"), args.integer("v6_bits")) {
            (Some(32), _) | (_, Some(128)) => Exposure::Clear,
            _ => Exposure::Coarse,
        }
    }

    fn explain(&self, args: &Args) -> String {
        format!(
            "An IP address is cut to its first {} bits (IPv4) or {} bits (IPv6); the rest is set to \
             zero. {}",
            args.integer("v4_bits").unwrap_or(24),
            args.integer("v6_bits").unwrap_or(48),
            address::explain_invalid(args),
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        change::sum([
            change::more_weakens("v4_bits", old, new),
            change::more_weakens("v6_bits", old, new),
            change::word_weakens("invalid", "token", old, new),
        ])
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(AddressKernel::new(AsTheyAre, args, bind)?))
    }
}

/// Leaves addresses alone; the kernel cuts them.
#[derive(Debug)]
struct AsTheyAre;

impl Scheme for AsTheyAre {
    const KEYED: bool = false;

    fn apply_v4(&mut self, _addresses: &mut [u32]) {}

    fn apply_v6(&mut self, _addresses: &mut [u128]) {}
}

#[cfg(test)]
mod tests;
