//! `ip: ipcrypt_pfx`: prefix-preserving pseudonyms of addresses as the IETF draft on IPCrypt says.
//! Its own code, because the reference crate encrypts one block at a time; tests hold both against
//! each other.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use arrow::datatypes::DataType;
use subtle::ConstantTimeEq;

use super::address::{self, AddressKernel};
use super::prefix::{PadBlocks, PrefixPreserving};
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, crypto_pan};
use crate::error::{Code, Context, Error, Result};
use crate::keys::Secret;
use crate::policy::args::Args;

/// ipcrypt-pfx.
///
/// - What it does: encrypts IPv4 and IPv6 addresses so that shared prefixes stay shared, with a sum of
///   two AES permutations instead of one. `::ffff:a.b.c.d` is the IPv4 address. `v4_bits` and `v6_bits`
///   cut the host's part off afterwards.
/// - What it hides: the addresses, from everyone without the key.
/// - What still leaks: as with Crypto-PAn, the shape of the network.
#[derive(Debug)]
pub(super) struct IpcryptPfxAddress;

static SPEC: Spec = Spec {
    verb: "ip",
    method: Some("ipcrypt_pfx"),
    primary: None,
    params: &crypto_pan::PARAMS,
    does: "Replaces an IP address by a pseudonym that keeps shared prefixes (ipcrypt-pfx).",
    hides: "The address, from everyone who does not hold the key.",
    leaks: crypto_pan::LEAKS,
    takes: address::TAKES,
    example: "{ip: {method: ipcrypt_pfx, v4_bits: 24}}",
    references: &["draft-denis-ipcrypt (IETF): Methods for IP Address Encryption and Obfuscation"],
};

impl Transform for IpcryptPfxAddress {
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
        crypto_pan::explain("ipcrypt-pfx", args)
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        crypto_pan::compare(old, new)
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let scheme = IpcryptPfx::new(&bind.keys.derive("ipcrypt_pfx")?)?;
        Ok(Box::new(AddressKernel::new(PrefixPreserving::new(scheme), args, bind)?))
    }
}

/// The scheme: the block for a bit is a one, followed by the address up to that bit.
struct IpcryptPfx {
    first: Aes128,
    second: Aes128,
    copy: Vec<Block>,
}

impl IpcryptPfx {
    /// # Errors
    /// [`Code::Keys`] when both halves of the key are the same: the two permutations would cancel and
    /// every address would pass as it is.
    fn new(key: &Secret<32>) -> Result<Self> {
        let (first, second) = key.expose().split_at(16);
        if bool::from(first.ct_eq(second)) {
            return Err(Error::new(
                Code::Keys,
                "the two halves of an ipcrypt-pfx key are the same",
            ));
        }
        let cipher = |half| {
            Aes128::new_from_slice(half)
                .context(Code::Internal, || "a key of 16 bytes was refused".to_owned())
        };
        Ok(Self { first: cipher(first)?, second: cipher(second)?, copy: Vec::new() })
    }
}

impl PadBlocks for IpcryptPfx {
    // An IPv4 address is encrypted as `::ffff:a.b.c.d` from bit 96 on.
    #[inline]
    fn block_v4(&self, prefix: u32, position: u32) -> Block {
        let mapped = (0xffff << 32) | u64::from(prefix);
        let block: u128 = (1 << (96 + position)) | u128::from(mapped >> (32 - position));
        block.to_be_bytes().into()
    }

    #[inline]
    fn last_v4(&self, address: u32, blocks: &mut [Block; 16]) {
        for (position, block) in (16..32).zip(blocks) {
            *block = self.block_v4(address, position);
        }
    }

    #[inline]
    fn half_v6(&self, address: u128, last: bool, blocks: &mut [Block; 64]) {
        let (mut block, mut rest) =
            if last { ((1 << 64) | (address >> 64), address << 64) } else { (1, address) };
        for place in blocks {
            *place = block.to_be_bytes().into();
            block = (block << 1) | (rest >> 127);
            rest <<= 1;
        }
    }

    // The draft's bit is the last one of the sum of both permutations.
    #[inline]
    fn encrypt(&mut self, blocks: &mut [Block]) {
        self.copy.clear();
        self.copy.extend_from_slice(blocks);
        self.first.encrypt_blocks(blocks);
        self.second.encrypt_blocks(&mut self.copy);
        for (block, other) in blocks.iter_mut().zip(&self.copy) {
            let ([.., one], [.., two]): ([u8; 16], [u8; 16]) = ((*block).into(), (*other).into());
            if let Some(first) = block.first_mut() {
                *first = (one ^ two) << 7;
            }
        }
    }
}

#[cfg(test)]
mod tests;
