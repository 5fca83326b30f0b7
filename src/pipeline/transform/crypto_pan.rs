//! `ip: crypto_pan`: prefix-preserving pseudonyms of addresses, bit for bit those of the Crypto-PAn
//! reference program. It is not cryptopANT, whose outputs differ.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use arrow::datatypes::DataType;
use zeroize::Zeroize;

use super::address::{self, AddressKernel, Scheme};
use super::hmac::DOMAIN;
use super::prefix::{PadBlocks, PrefixPreserving};
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, change};
use crate::error::{Code, Context, Result};
use crate::keys::Secret;
use crate::policy::args::{Args, Param};

/// Crypto-PAn.
///
/// - What it does: encrypts IPv4 and IPv6 addresses so that two addresses which share their first n
///   bits get pseudonyms which share their first n bits, and no more. `::ffff:a.b.c.d` is the IPv4
///   address. `v4_bits` and `v6_bits` cut the host's part off afterwards.
/// - What it hides: the addresses, from everyone without the key.
/// - What still leaks: which rows hold equal addresses, and which addresses lie in one network. Who
///   learns the address behind one pseudonym learns the same number of leading bits of each neighbour.
#[derive(Debug)]
pub(super) struct CryptoPanAddress;

/// Parameters that both prefix-preserving schemes have.
pub(super) static PARAMS: [Param; 4] = [
    DOMAIN,
    address::INVALID,
    address::bits_param(
        true,
        32,
        "Leading bits of an IPv4 pseudonym that leave; the rest is zero.",
    ),
    address::bits_param(
        false,
        128,
        "Leading bits of an IPv6 pseudonym that leave; the rest is zero.",
    ),
];

/// What both prefix-preserving schemes leak.
pub(super) const LEAKS: &str = "Which rows hold equal addresses and how often, and how many leading bits \
     two addresses share: the shape of the network. Who learns the address behind one pseudonym, or can \
     have addresses of their choice recorded, learns leading bits of all its neighbours. Ports and \
     volumes beside an address can give a host away.";

static SPEC: Spec = Spec {
    verb: "ip",
    method: Some("crypto_pan"),
    primary: None,
    params: &PARAMS,
    does: "Replaces an IP address by a pseudonym that keeps shared prefixes (Crypto-PAn).",
    hides: "The address, from everyone who does not hold the key.",
    leaks: LEAKS,
    takes: address::TAKES,
    example: "{ip: crypto_pan}",
    references: &[
        "Xu, Fan, Ammar, Moon: Prefix-Preserving IP Address Anonymization (ICNP 2002)",
        "Brekne, Årnes, Øslebø: Anonymization of IP Traffic Monitoring Data (PET 2005)",
    ],
};

/// For `explain`, with the name of the scheme.
pub(super) fn explain(scheme: &str, args: &Args) -> String {
    let mut text = format!(
        "An IP address is replaced by a pseudonym that keeps shared prefixes ({scheme}), the same {}.",
        change::scope(args)
    );
    let (v4, v6) = (args.integer("v4_bits"), args.integer("v6_bits"));
    if let (Some(v4), Some(v6)) = (v4, v6)
        && (v4 < 32 || v6 < 128)
    {
        text.push_str(&format!(
            " Of the pseudonym {v4} bits (IPv4) or {v6} bits (IPv6) leave; the rest is set to zero."
        ));
    }
    text.push(' ');
    text.push_str(address::explain_invalid(args));
    text
}

/// How protection moves between two settings of a prefix-preserving scheme.
pub(super) fn compare(old: &Args, new: &Args) -> Change {
    change::sum([
        change::domain(old, new),
        change::more_weakens("v4_bits", old, new),
        change::more_weakens("v6_bits", old, new),
        change::word_weakens("invalid", "token", old, new),
    ])
}

impl Transform for CryptoPanAddress {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        address::output(args, input)
    }

    fn adds_nulls(&self, args: &Args) -> bool {
        address::adds_nulls(args)
    }

    fn is_pseudonym(&self) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::StructuredPseudonym
    }

    fn explain(&self, args: &Args) -> String {
        explain("Crypto-PAn", args)
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        compare(old, new)
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let scheme = CryptoPan::new(&bind.keys.derive("crypto_pan")?)?;
        Ok(Box::new(AddressKernel::new(PrefixPreserving::new(scheme), args, bind)?))
    }
}

impl<S: PadBlocks> Scheme for PrefixPreserving<S> {
    fn apply_v4(&mut self, addresses: &mut [u32]) {
        self.encrypt_v4(addresses);
    }

    fn apply_v6(&mut self, addresses: &mut [u128]) {
        self.encrypt_v6(addresses);
    }
}

/// The scheme: the block for a bit is the address up to that bit, filled up with a secret pad.
///
/// Masks and pads of all positions are kept in the byte order of a block, so that a block costs an
/// `and` and an `or`.
struct CryptoPan {
    cipher: Aes128,
    masks: Vec<u128>,
    pads: Vec<u128>,
}

impl CryptoPan {
    /// The first half of the key is AES's, the second half gives the pad.
    fn new(key: &Secret<32>) -> Result<Self> {
        let (first, second) = key.expose().split_at(16);
        let cipher = Aes128::new_from_slice(first)
            .context(Code::Internal, || "a key of 16 bytes was refused".to_owned())?;
        let mut pad = Block::try_from(second)
            .context(Code::Internal, || "a pad of 16 bytes was refused".to_owned())?;
        cipher.encrypt_block(&mut pad);
        let pad = u128::from_be_bytes(pad.into());
        let rests = || (0..128).map(|position| u128::MAX >> position);
        Ok(Self {
            cipher,
            masks: rests().map(|rest| in_order(!rest)).collect(),
            pads: rests().map(|rest| in_order(pad & rest)).collect(),
        })
    }

    #[inline]
    fn fill<'a>(&self, address: u128, from: usize, blocks: impl Iterator<Item = &'a mut Block>) {
        let address = in_order(address);
        let masks = self.masks.get(from..).unwrap_or_default();
        let pads = self.pads.get(from..).unwrap_or_default();
        for ((block, mask), pad) in blocks.zip(masks).zip(pads) {
            *block = ((address & mask) | pad).to_ne_bytes().into();
        }
    }
}

/// A number whose memory holds the bytes of `bits` from the first to the last.
#[inline]
const fn in_order(bits: u128) -> u128 {
    u128::from_ne_bytes(bits.to_be_bytes())
}

impl PadBlocks for CryptoPan {
    fn block_v4(&self, prefix: u32, position: u32) -> Block {
        let mut block = Block::default();
        let from = usize::try_from(position).unwrap_or(0);
        self.fill(u128::from(prefix) << 96, from, std::iter::once(&mut block));
        block
    }

    #[inline]
    fn last_v4(&self, address: u32, blocks: &mut [Block; 16]) {
        self.fill(u128::from(address) << 96, 16, blocks.iter_mut());
    }

    #[inline]
    fn half_v6(&self, address: u128, last: bool, blocks: &mut [Block; 64]) {
        self.fill(address, if last { 64 } else { 0 }, blocks.iter_mut());
    }

    #[inline]
    fn encrypt(&mut self, blocks: &mut [Block]) {
        self.cipher.encrypt_blocks(blocks);
    }
}

impl Drop for CryptoPan {
    fn drop(&mut self) {
        self.pads.zeroize();
    }
}

#[cfg(test)]
mod tests;
