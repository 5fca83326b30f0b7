//! IP addresses in columns: reading them from text, numbers and binary, writing them back in the same
//! form, and what becomes of a value that is no address. What is done to an address is said by the
//! transforms.
//!
//! PRIVACY: no address passes because it is special: private, loopback, multicast and reserved ranges
//! are treated like all others. A value that is no address never passes either.

use std::fmt;
use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Int64Type, UInt32Type};

use self::written::{V4_TEXT_MAX, parse_v4, parse_v6, short_window, write_v4, write_v6};
use super::mac::{Base32, Label, Mac};
use super::output::TextColumn;
use super::{Bind, Kernel};
use crate::error::{Code, Context, Error, Result};
use crate::policy::args::{Args, Default, Kind, Param};

/// The types that hold addresses, for [`super::Spec::takes`].
pub(super) const TAKES: &str = "IPv4 and IPv6 addresses as text or as 4 or 16 bytes, IPv4 addresses as \
                                whole numbers";

/// What becomes of a value that is no address.
pub(super) const INVALID: Param = Param {
    name: "invalid",
    kind: Kind::Choice(&["null", "token", "error"]),
    required: false,
    default: Some(Default::Text("null")),
    doc: "What becomes of a value that is no address: `null`, a keyed hash (`token`, text columns only) \
          or an `error` that ends the stream. It never passes.",
};

/// How many leading bits are left after encryption or truncation.
pub(super) const fn bits_param(v4: bool, default: i64, doc: &'static str) -> Param {
    Param {
        name: if v4 { "v4_bits" } else { "v6_bits" },
        kind: Kind::Integer { min: 0, max: if v4 { 32 } else { 128 } },
        required: false,
        default: Some(Default::Integer(default)),
        doc,
    }
}

/// The type that leaves: the one that entered.
pub(super) fn output(args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
    let form = Form::new(input).ok_or_else(|| format!("takes {TAKES}"))?;
    if args.text("invalid") == Some("token") && form != Form::Text {
        return Err("`invalid: token` fits text only".to_owned());
    }
    Ok(Some(input.clone()))
}

/// Whether a value can become null.
pub(super) fn adds_nulls(args: &Args) -> bool {
    !matches!(args.text("invalid"), Some("token" | "error"))
}

/// For `explain`: what becomes of a value that is no address.
pub(super) fn explain_invalid(args: &Args) -> &'static str {
    match args.text("invalid") {
        Some("token") => "A value that is no address becomes a keyed hash.",
        Some("error") => "A value that is no address ends the stream.",
        _ => "A value that is no address becomes null.",
    }
}

/// How a column holds addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number32,
    Number64,
    Fixed4,
    Fixed16,
    Bytes,
}

impl Form {
    const fn new(input: &DataType) -> Option<Self> {
        match input {
            DataType::Utf8 => Some(Self::Text),
            DataType::UInt32 => Some(Self::Number32),
            DataType::Int64 => Some(Self::Number64),
            DataType::FixedSizeBinary(4) => Some(Self::Fixed4),
            DataType::FixedSizeBinary(16) => Some(Self::Fixed16),
            DataType::Binary => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// What is done to addresses, many at once and in place.
pub(super) trait Scheme: Send + fmt::Debug {
    /// Whether it works under a key.
    const KEYED: bool = true;

    /// IPv4 addresses as numbers.
    fn apply_v4(&mut self, addresses: &mut [u32]);

    /// IPv6 addresses as numbers.
    fn apply_v6(&mut self, addresses: &mut [u128]);
}

/// What stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Null,
    Invalid,
    V4,
    /// An IPv4 address in 16 bytes.
    Mapped,
    V6,
}

/// Reads addresses, hands them to a scheme, and writes them back.
#[derive(Debug)]
pub(super) struct AddressKernel<S> {
    scheme: S,
    form: Form,
    /// The keyed hash for what is no address, and for null; text columns only.
    token: Option<Mac>,
    invalid_is_token: bool,
    invalid_is_error: bool,
    mask_v4: u32,
    mask_v6: u128,
    slots: Vec<Slot>,
    v4: Vec<u32>,
    v6: Vec<u128>,
}

/// Characters of the token for what is no address.
const TOKEN_CHARACTERS: usize = 22;

impl<S: Scheme> AddressKernel<S> {
    /// Binds a scheme to a column.
    ///
    /// # Errors
    /// [`Code::Internal`] for a type that [`output`] refuses, [`Code::Keys`] without a key.
    pub(super) fn new(scheme: S, args: &Args, bind: &Bind<'_>) -> Result<Self> {
        let form = Form::new(bind.input)
            .ok_or_else(|| Error::new(Code::Internal, "a column cannot hold addresses"))?;
        let invalid_is_token = args.text("invalid") == Some("token");
        let token = match form {
            Form::Text if S::KEYED || invalid_is_token => {
                Some(Mac::new(&bind.keys.derive("ip-token")?)?)
            }
            _ => None,
        };
        let bits = |name| args.integer(name).and_then(|bits| u32::try_from(bits).ok());
        Ok(Self {
            scheme,
            form,
            token,
            invalid_is_token,
            invalid_is_error: args.text("invalid") == Some("error"),
            mask_v4: !u32::MAX.checked_shr(bits("v4_bits").unwrap_or(32)).unwrap_or(0),
            mask_v6: !u128::MAX.checked_shr(bits("v6_bits").unwrap_or(128)).unwrap_or(0),
            slots: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
        })
    }

    #[inline]
    fn push(&mut self, slot: Slot, v4: u32, v6: u128) {
        self.slots.push(slot);
        match slot {
            Slot::V4 | Slot::Mapped => self.v4.push(v4),
            Slot::V6 => self.v6.push(v6),
            Slot::Null | Slot::Invalid => {}
        }
    }

    fn push_v6(&mut self, address: u128) {
        match mapped(address) {
            Some(v4) => self.push(Slot::Mapped, v4, 0),
            None => self.push(Slot::V6, 0, address),
        }
    }

    fn push_bytes(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.push(Slot::Null, 0, 0) };
        if let Ok(four) = <[u8; 4]>::try_from(bytes) {
            self.push(Slot::V4, u32::from_be_bytes(four), 0);
        } else if let Ok(sixteen) = <[u8; 16]>::try_from(bytes) {
            self.push_v6(u128::from_be_bytes(sixteen));
        } else {
            self.push(Slot::Invalid, 0, 0);
        }
    }

    fn read(&mut self, values: &ArrayRef) {
        self.slots.clear();
        self.v4.clear();
        self.v6.clear();
        self.slots.reserve(values.len());
        match self.form {
            Form::Text => self.read_text(values.as_string::<i32>()),
            Form::Number32 => {
                for value in values.as_primitive::<UInt32Type>() {
                    self.push(value.map_or(Slot::Null, |_| Slot::V4), value.unwrap_or(0), 0);
                }
            }
            Form::Number64 => {
                for value in values.as_primitive::<Int64Type>() {
                    match value.map(u32::try_from) {
                        None => self.push(Slot::Null, 0, 0),
                        Some(Ok(address)) => self.push(Slot::V4, address, 0),
                        Some(Err(_)) => self.push(Slot::Invalid, 0, 0),
                    }
                }
            }
            Form::Fixed4 | Form::Fixed16 => {
                for value in values.as_fixed_size_binary() {
                    self.push_bytes(value);
                }
            }
            Form::Bytes => {
                for value in values.as_binary::<i32>() {
                    self.push_bytes(value);
                }
            }
        }
    }

    /// Reads past the end of a value where the buffer goes on; most addresses are IPv4.
    fn read_text(&mut self, values: &StringArray) {
        let data = values.value_data();
        let nulls = values.nulls();
        for (row, pair) in values.value_offsets().windows(2).enumerate() {
            let &[start, end] = pair else { continue };
            let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
                continue;
            };
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                self.push(Slot::Null, 0, 0);
                continue;
            }
            let length = end - start;
            if length <= V4_TEXT_MAX {
                let parsed = match data.get(start..).and_then(|rest| rest.first_chunk()) {
                    Some(window) => parse_v4(window, length),
                    None => {
                        parse_v4(&short_window(data.get(start..end).unwrap_or_default()), length)
                    }
                };
                if let Some(address) = parsed {
                    self.push(Slot::V4, address, 0);
                    continue;
                }
            }
            match data.get(start..end).and_then(parse_v6) {
                // Text has one way to write an IPv4 address: both spellings give a dotted quad.
                Some(address) => match mapped(address) {
                    Some(v4) => self.push(Slot::V4, v4, 0),
                    None => self.push(Slot::V6, 0, address),
                },
                None => self.push(Slot::Invalid, 0, 0),
            }
        }
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let mut nulls = NullBufferBuilder::new(self.slots.len());
        for slot in &self.slots {
            nulls.append(!matches!(slot, Slot::Null | Slot::Invalid));
        }
        nulls.finish()
    }

    fn write_text(&self, values: &StringArray) -> Result<ArrayRef> {
        let mut out = TextColumn::new(self.slots.len(), V4_TEXT_MAX);
        let (mut v4, mut v6) = (self.v4.iter(), self.v6.iter());
        for (row, slot) in self.slots.iter().enumerate() {
            match slot {
                Slot::V4 | Slot::Mapped => write_v4(next(&mut v4)?, out.bytes()),
                Slot::V6 => write_v6(next(&mut v6)?, out.bytes()),
                Slot::Invalid if self.invalid_is_token => {
                    self.write_token(Label::Value, values.value(row).as_bytes(), &mut out);
                }
                Slot::Null | Slot::Invalid => {
                    out.null()?;
                    continue;
                }
            }
            out.end()?;
        }
        out.finish()
    }

    fn write_token(&self, label: Label, message: &[u8], out: &mut TextColumn) {
        if let Some(mac) = &self.token {
            let text = Base32::new(&mac.tag(label, message), TOKEN_CHARACTERS);
            out.bytes().extend_from_slice(text.first(TOKEN_CHARACTERS));
        }
    }

    fn write_numbers<T: ArrowPrimitiveType>(
        &self,
        number: impl Fn(u32) -> T::Native,
    ) -> Result<ArrayRef> {
        let mut v4 = self.v4.iter();
        let mut numbers = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            numbers.push(match slot {
                Slot::V4 => number(next(&mut v4)?),
                _ => T::Native::default(),
            });
        }
        Ok(Arc::new(PrimitiveArray::<T>::new(numbers.into(), self.nulls())))
    }

    fn write_fixed(&self, width: i32) -> Result<ArrayRef> {
        let mut bytes = Vec::with_capacity(self.slots.len() * 16);
        let (mut v4, mut v6) = (self.v4.iter(), self.v6.iter());
        for slot in &self.slots {
            match slot {
                Slot::V4 => bytes.extend(next(&mut v4)?.to_be_bytes()),
                Slot::Mapped => bytes.extend(to_mapped(next(&mut v4)?).to_be_bytes()),
                Slot::V6 => bytes.extend(next(&mut v6)?.to_be_bytes()),
                Slot::Null | Slot::Invalid if width == 4 => bytes.extend([0; 4]),
                Slot::Null | Slot::Invalid => bytes.extend([0; 16]),
            }
        }
        let array = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), self.nulls())
            .context(Code::Internal, || "addresses of a fixed width".to_owned())?;
        Ok(Arc::new(array))
    }

    fn write_bytes(&self) -> Result<ArrayRef> {
        let mut out = BinaryBuilder::with_capacity(self.slots.len(), self.slots.len() * 16);
        let (mut v4, mut v6) = (self.v4.iter(), self.v6.iter());
        for slot in &self.slots {
            match slot {
                Slot::V4 => out.append_value(next(&mut v4)?.to_be_bytes()),
                Slot::Mapped => out.append_value(to_mapped(next(&mut v4)?).to_be_bytes()),
                Slot::V6 => out.append_value(next(&mut v6)?.to_be_bytes()),
                Slot::Null | Slot::Invalid => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }
}

impl<S: Scheme> Kernel for AddressKernel<S> {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        self.read(values);
        if self.invalid_is_error && self.slots.contains(&Slot::Invalid) {
            return Err(Error::new(Code::SourceValue, "a value is no IP address"));
        }
        self.scheme.apply_v4(&mut self.v4);
        self.scheme.apply_v6(&mut self.v6);
        for address in &mut self.v4 {
            *address &= self.mask_v4;
        }
        for address in &mut self.v6 {
            *address &= self.mask_v6;
        }
        match self.form {
            Form::Text => self.write_text(values.as_string::<i32>()),
            Form::Number32 => self.write_numbers::<UInt32Type>(|address| address),
            Form::Number64 => self.write_numbers::<Int64Type>(i64::from),
            Form::Fixed4 => self.write_fixed(4),
            Form::Fixed16 => self.write_fixed(16),
            Form::Bytes => self.write_bytes(),
        }
    }

    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        if self.form != Form::Text {
            return Ok(None);
        }
        let mut out = TextColumn::new(1, TOKEN_CHARACTERS);
        self.write_token(Label::Null, b"", &mut out);
        out.end()?;
        Ok(Some(out.finish()?))
    }
}

fn next<T: Copy>(addresses: &mut std::slice::Iter<'_, T>) -> Result<T> {
    addresses
        .next()
        .copied()
        .ok_or_else(|| Error::new(Code::Internal, "an address was lost on the way"))
}

/// The IPv4 address in `::ffff:a.b.c.d`.
fn mapped(address: u128) -> Option<u32> {
    if address >> 32 == 0xffff { u32::try_from(address & 0xffff_ffff).ok() } else { None }
}

fn to_mapped(address: u32) -> u128 {
    (0xffff << 32) | u128::from(address)
}

#[cfg(test)]
mod tests;
mod written;
