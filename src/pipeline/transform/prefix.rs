//! Prefix-preserving encryption of many addresses at once. Two addresses that share their first n bits
//! get results that share exactly their first n bits; each scheme only says which AES block gives the
//! bit at a place. This file knows neither text nor columns.
//!
//! Where the speed comes from: bit i of the pad depends on the first i bits alone, so the pads of all
//! 65,536 beginnings of IPv4 addresses are made once, and the pads of IPv6 networks (the first 64
//! bits) are remembered. What is left is encrypted hundreds of blocks at a time, which keeps the AES
//! units of the processor busy.

use std::fmt;

use aes::Block;
use zeroize::Zeroize;

/// A prefix-preserving scheme: the pad's bit at a position is the first bit of a block that depends on
/// the bits before that position alone.
pub(super) trait PadBlocks: Send {
    /// The block for the bit at `position` of an IPv4 address of which the first `position` bits are
    /// known and the others are zero.
    fn block_v4(&self, prefix: u32, position: u32) -> Block;

    /// The blocks for the last sixteen bits of an IPv4 address.
    fn last_v4(&self, address: u32, blocks: &mut [Block; 16]);

    /// The blocks for one half of an IPv6 address: the bits from 0, or from 64 where `last` is set.
    fn half_v6(&self, address: u128, last: bool, blocks: &mut [Block; 64]);

    /// Turns blocks into results whose first bit is the pad's bit.
    fn encrypt(&mut self, blocks: &mut [Block]);
}

/// Encrypts addresses under one scheme and key.
pub(super) struct PrefixPreserving<S> {
    scheme: S,
    /// The first 16 bits of the pad for each first half of an IPv4 address; empty until needed.
    halves: Vec<u16>,
    /// The first 64 bits of the pad of IPv6 networks seen lately, each at one place; empty until
    /// needed.
    networks: Vec<Option<(u64, u64)>>,
    blocks: Vec<Block>,
}

/// IPv4 addresses that are encrypted together, 16 blocks each.
const TOGETHER_V4: usize = 32;
/// IPv6 addresses that are encrypted together, 64 or 128 blocks each.
const TOGETHER_V6: usize = 8;
/// Blocks that are encrypted together; 16 KiB stay in the first-level cache.
const BLOCKS: usize = 1024;
/// IPv6 networks that are remembered.
const NETWORKS: usize = 4096;

impl<S: PadBlocks> PrefixPreserving<S> {
    /// Nothing is computed yet.
    pub(super) fn new(scheme: S) -> Self {
        Self { scheme, halves: Vec::new(), networks: Vec::new(), blocks: Vec::new() }
    }

    /// Encrypts IPv4 addresses in place.
    pub(super) fn encrypt_v4(&mut self, addresses: &mut [u32]) {
        if addresses.is_empty() {
            return;
        }
        self.prepare();
        if self.halves.is_empty() {
            self.halves = self.first_halves();
        }
        for together in addresses.chunks_mut(TOGETHER_V4) {
            let used = self.blocks.as_chunks_mut::<16>().0.iter_mut();
            for (address, blocks) in together.iter().zip(used) {
                self.scheme.last_v4(*address, blocks);
            }
            if let Some(blocks) = self.blocks.get_mut(..together.len() * 16) {
                self.scheme.encrypt(blocks);
            }
            for (address, blocks) in together.iter_mut().zip(self.blocks.as_chunks::<16>().0) {
                let half = usize::try_from(*address >> 16).unwrap_or(0);
                let first = self.halves.get(half).copied().unwrap_or(0);
                *address ^= (u32::from(first) << 16) | pad16(blocks);
            }
        }
    }

    /// Encrypts IPv6 addresses in place.
    pub(super) fn encrypt_v6(&mut self, addresses: &mut [u128]) {
        if addresses.is_empty() {
            return;
        }
        self.prepare();
        if self.networks.is_empty() {
            self.networks = vec![None; NETWORKS];
        }
        for together in addresses.chunks_mut(TOGETHER_V6) {
            let mut pads = [None; TOGETHER_V6];
            // The last 64 bits of each address come first, then the first 64 bits of those whose
            // network is not known.
            let mut used = self.blocks.as_chunks_mut::<64>().0.iter_mut();
            for (address, blocks) in together.iter().zip(used.by_ref()) {
                self.scheme.half_v6(*address, true, blocks);
            }
            let mut count = together.len();
            for (address, pad) in together.iter().zip(&mut pads) {
                let network = high(*address);
                *pad = match self.networks.get(place(network)) {
                    Some(Some((known, pad))) if *known == network => Some(*pad),
                    _ => None,
                };
                if pad.is_none()
                    && let Some(blocks) = used.next()
                {
                    count += 1;
                    self.scheme.half_v6(*address, false, blocks);
                }
            }
            if let Some(blocks) = self.blocks.get_mut(..count * 64) {
                self.scheme.encrypt(blocks);
            }
            let mut words = self.blocks.as_chunks::<64>().0.iter().map(pad64);
            let lows: [u64; TOGETHER_V6] = {
                let mut lows = [0; TOGETHER_V6];
                for (low, word) in lows.iter_mut().zip(words.by_ref().take(together.len())) {
                    *low = word;
                }
                lows
            };
            for ((address, known), low) in together.iter_mut().zip(pads).zip(lows) {
                let network = high(*address);
                let pad = known.or_else(|| words.next()).unwrap_or(0);
                if known.is_none()
                    && let Some(slot) = self.networks.get_mut(place(network))
                {
                    *slot = Some((network, pad));
                }
                *address ^= (u128::from(pad) << 64) | u128::from(low);
            }
        }
    }

    fn prepare(&mut self) {
        if self.blocks.is_empty() {
            self.blocks = vec![Block::default(); BLOCKS];
        }
    }

    /// The pads of all first halves, one bit longer at each step: 65,535 blocks in all.
    fn first_halves(&mut self) -> Vec<u16> {
        let mut pads = vec![0];
        for position in 0..16 {
            let mut longer = Vec::with_capacity(pads.len() * 2);
            let mut prefix: u32 = 0;
            for known in pads.chunks(BLOCKS) {
                for block in self.blocks.iter_mut().take(known.len()) {
                    // `checked_shl` because the empty prefix would be moved by all its bits.
                    let address = prefix.checked_shl(32 - position).unwrap_or(0);
                    *block = self.scheme.block_v4(address, position);
                    prefix += 1;
                }
                if let Some(blocks) = self.blocks.get_mut(..known.len()) {
                    self.scheme.encrypt(blocks);
                }
                for (pad, block) in known.iter().zip(&self.blocks) {
                    // The same for both ways in which the prefix goes on.
                    let pad = (pad << 1) | u16::from(first_bit(block));
                    longer.extend([pad, pad]);
                }
            }
            pads = longer;
        }
        pads
    }
}

#[inline]
fn first_bit(block: &Block) -> u8 {
    let [first, ..]: [u8; 16] = (*block).into();
    first >> 7
}

/// The first bits of eight blocks; no step waits for the one before.
#[inline]
fn pad8(blocks: &[Block; 8]) -> u8 {
    let mut shift = 8;
    blocks.iter().fold(0, |pad, block| {
        shift -= 1;
        pad | (first_bit(block) << shift)
    })
}

#[inline]
fn pad16(blocks: &[Block; 16]) -> u32 {
    blocks.as_chunks().0.iter().fold(0, |pad, eight| (pad << 8) | u32::from(pad8(eight)))
}

#[inline]
fn pad64(blocks: &[Block; 64]) -> u64 {
    blocks.as_chunks().0.iter().fold(0, |pad, eight| (pad << 8) | u64::from(pad8(eight)))
}

#[inline]
const fn high(address: u128) -> u64 {
    (address >> 64) as u64
}

/// Where a network is remembered: Fibonacci hashing to 12 bits.
#[inline]
fn place(network: u64) -> usize {
    usize::try_from(network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52).unwrap_or(0)
}

impl<S> Drop for PrefixPreserving<S> {
    fn drop(&mut self) {
        self.halves.zeroize();
        self.networks.zeroize();
    }
}

impl<S> fmt::Debug for PrefixPreserving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrefixPreserving(..)")
    }
}
