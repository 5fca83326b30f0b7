//! Addresses as text: read strictly, and written in one form. Knows nothing of columns and transforms none.

use std::net::Ipv6Addr;

/// `255.255.255.255`.
pub(super) const V4_TEXT_MAX: usize = 15;

/// Bytes that [`parse_v4`] looks at: the text and what happens to follow it.
pub(super) const WINDOW: usize = 20;

/// The text in a window of its own, for the end of a buffer.
#[cold]
pub(super) fn short_window(text: &[u8]) -> [u8; WINDOW] {
    let mut window = [0; WINDOW];
    for (place, byte) in window.iter_mut().zip(text) {
        *place = *byte;
    }
    window
}

/// The same byte in all sixteen places.
const fn everywhere(byte: u8) -> u128 {
    u128::from_le_bytes([byte; 16])
}

/// Parses a dotted quad of `length` bytes at the start of a window.
///
/// Strict: four numbers from 0 to 255 in decimal without leading zeros (some programs read those as
/// octal), three dots, nothing else. All bytes are looked at together: addresses have digits in
/// unforeseeable places, and a loop with branches would guess wrong at each dot.
#[inline]
pub(super) fn parse_v4(window: &[u8; WINDOW], length: usize) -> Option<u32> {
    const LOW: u128 = everywhere(0x7f);
    if !(7..=V4_TEXT_MAX).contains(&length) {
        return None;
    }
    let inside = (1 << (8 * length)) - 1;
    let word = u128::from_le_bytes(*window.first_chunk()?) & inside;
    // The high bit of each byte that is a dot: only there is the difference zero.
    let difference = word ^ everywhere(b'.');
    let dots = !(((difference & LOW) + LOW) | difference | LOW);
    // Digits are 0x30 to 0x39 and a dot is 0x2e. A byte is foreign when its upper half is not 3 or its
    // lower half is above 9; both put 0x10 where a dot is.
    let upper = (word ^ everywhere(b'0')) & everywhere(0xf0);
    let lower = ((word & everywhere(0x0f)) + everywhere(0x06)) & everywhere(0x10);
    let foreign = (upper | lower) & inside;
    let dot = marks(dots);
    let first = dot.trailing_zeros();
    let dot = dot & dot.wrapping_sub(1);
    let second = dot.trailing_zeros();
    let dot = dot & dot.wrapping_sub(1);
    let third = dot.trailing_zeros();
    // Exactly three: a third one, and none after it.
    if foreign != dots >> 3 || dot == 0 || dot & (dot - 1) != 0 {
        return None;
    }
    let a = octet(window, 0, first);
    let b = octet(window, first + 1, second);
    let c = octet(window, second + 1, third);
    let d = octet(window, third + 1, u32::try_from(length).ok()?);
    if (a | b | c | d) > 255 {
        return None;
    }
    Some((a << 24) | (b << 16) | (c << 8) | d)
}

/// One bit for each of sixteen bytes, set where the byte's high bit is; the multiplication moves the
/// bits of eight bytes side by side.
#[inline]
fn marks(high_bits: u128) -> u32 {
    let eight = |half: u64| (half >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let (low, high) = (high_bits as u64, (high_bits >> 64) as u64);
    (eight(low) | (eight(high) << 8)) as u32
}

/// The number whose digits stand from `start` to before `end`; more than 255 where it is none.
#[inline]
fn octet(window: &[u8; WINDOW], start: u32, end: u32) -> u32 {
    let length = end.wrapping_sub(start);
    let four = window.get(start as usize..).and_then(|rest| rest.first_chunk());
    let digits = u32::from_le_bytes(four.copied().unwrap_or_default()) & DIGITS;
    // Three digits, the last one in the third byte; where there are fewer, the first ones are no
    // digits. A length that is out of range moves nonsense about and is refused below.
    let bits = 8 * length;
    let three =
        (digits.wrapping_shl(24_u32.wrapping_sub(bits)) & DIGITS) | DIGITS.wrapping_shr(bits);
    let index = (three & 0xf) | ((three >> 4) & 0xf0) | ((three >> 8) & 0xf00);
    let number = NUMBERS.get(index as usize).copied().unwrap_or(NO_NUMBER);
    u32::from(number) | ((length & !3) << 8)
}

/// The lower halves of three bytes.
const DIGITS: u32 = 0x000f_0f0f;

/// What stands in [`NUMBERS`] where there is no number of an address.
const NO_NUMBER: u16 = u16::MAX;

/// The number of three digits, the first in the lowest four bits; 15 stands for a digit that is not
/// written. A number over 255 or with a leading zero is not in it.
static NUMBERS: [u16; 4096] = numbers();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a bad index")]
const fn numbers() -> [u16; 4096] {
    let mut numbers = [NO_NUMBER; 4096];
    let mut number: u16 = 0;
    while number < 256 {
        let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
        let hundreds = if number < 100 { 15 } else { hundreds };
        let tens = if number < 10 { 15 } else { tens };
        numbers[(hundreds | (tens << 4) | (ones << 8)) as usize] = number;
        number += 1;
    }
    numbers
}

/// Parses an IPv6 address; the standard library's rules are the RFCs': no zone, no leading zeros in an
/// embedded IPv4 address.
pub(super) fn parse_v6(text: &[u8]) -> Option<u128> {
    if !text.contains(&b':') {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_bits())
}

/// Writes a dotted quad: sixteen bytes always, of which those past its end are taken back.
#[inline]
pub(super) fn write_v4(address: u32, out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut end = 0;
    for octet in address.to_be_bytes() {
        let [digits @ .., length] =
            OCTETS.get(usize::from(octet)).copied().unwrap_or([b'0', b'.', 0, 0, 2]);
        if let Some(place) = text.get_mut(end..end + 4) {
            place.copy_from_slice(&digits);
        }
        end += usize::from(length);
    }
    let start = out.len();
    out.extend_from_slice(&text);
    // Each number was written with a dot; the last one does not count.
    out.truncate(start + end.saturating_sub(1));
}

/// Writes an IPv6 address as RFC 5952 says: lower case, no leading zeros, and the first of the longest
/// runs of two or more zero groups as `::`.
pub(super) fn write_v6(address: u128, out: &mut Vec<u8>) {
    let groups: [u16; 8] = Ipv6Addr::from_bits(address).segments();
    let (mut start, mut length) = (8, 1);
    let mut run = 0;
    for (place, group) in groups.iter().enumerate() {
        run = if *group == 0 { run + 1 } else { 0 };
        if run > length {
            (start, length) = (place + 1 - run, run);
        }
    }
    let end = start + length;
    for (place, group) in groups.iter().enumerate() {
        if place == start {
            out.extend_from_slice(b"::");
        } else if place < start || place >= end {
            if place > 0 && place != end {
                out.push(b':');
            }
            write_hex(*group, out);
        }
    }
}

/// Writes a group of an IPv6 address without leading zeros.
#[inline]
fn write_hex(group: u16, out: &mut Vec<u8>) {
    let digits = [12, 8, 4, 0].map(|shift| {
        let digit = u8::try_from((group >> shift) & 15).unwrap_or(0);
        if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }
    });
    let zeros = usize::try_from(group.leading_zeros() / 4).unwrap_or(0).min(3);
    out.extend_from_slice(digits.get(zeros..).unwrap_or_default());
}

/// Each octet as text with a dot, and the length of both.
static OCTETS: [[u8; 5]; 256] = octets();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a bad index")]
const fn octets() -> [[u8; 5]; 256] {
    let mut octets = [[0; 5]; 256];
    let mut octet = 0;
    while octet < 256 {
        let (a, b, c) =
            (b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8);
        octets[octet] = if octet >= 100 {
            [a, b, c, b'.', 4]
        } else if octet >= 10 {
            [b, c, b'.', 0, 3]
        } else {
            [c, b'.', 0, 0, 2]
        };
        octet += 1;
    }
    octets
}
