//! Compresses the buffers of a body one by one, as Arrow's format says: eight bytes with the length before
//! compression, then the compressed bytes; or minus one and the bytes as they are, where compression does
//! not make them fewer. Does not see what is in them.

use std::fmt;
use std::io::Write;

use arrow_ipc::Buffer;
use lz4_flex::frame::FrameEncoder;

use super::{Encoded, mismatch, signed};
use crate::error::{Code, Context, Result};
use crate::pipeline::format::Compression;

/// Where compressed buffers begin; readers unpack them and cannot use them in place.
const ALIGNMENT: usize = 8;

/// The length that says "not compressed".
const AS_IT_IS: i64 = -1;

/// How hard Zstandard tries. Higher levels cost much more time than they save on the way.
const ZSTD_LEVEL: i32 = 1;

/// A codec with its working memory.
pub(in crate::pipeline) enum Compressor {
    /// Leaves bodies as they are.
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard, with its tables once they are needed.
    Zstd(Option<Box<zstd::bulk::Compressor<'static>>>),
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Lz4 => "Lz4",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Compressor {
    /// The codec of a format.
    pub(in crate::pipeline) const fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd => Self::Zstd(None),
        }
    }

    /// Whether bodies change.
    pub(in crate::pipeline) const fn compresses(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Writes the body into `out`, emptied memory, and takes its bytes out of `body`.
    ///
    /// # Errors
    /// [`Code::Internal`] when the codec fails.
    pub(in crate::pipeline) fn compress(
        &mut self,
        body: &mut Encoded,
        mut out: Vec<u8>,
    ) -> Result<Vec<u8>> {
        out.clear();
        for buffer in &mut body.buffers {
            let range = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
            let (Ok(from), Ok(len)) = range else { return Err(mismatch()) };
            let bytes = body.bytes.get(from..from + len).ok_or_else(mismatch)?;
            let start = out.len();
            if !bytes.is_empty() {
                out.extend_from_slice(&signed(len)?.to_le_bytes());
                self.append(bytes, &mut out)?;
                if out.len() - start - 8 >= len {
                    out.truncate(start);
                    out.extend_from_slice(&AS_IT_IS.to_le_bytes());
                    out.extend_from_slice(bytes);
                }
            }
            *buffer = Buffer::new(signed(start)?, signed(out.len() - start)?);
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        }
        Ok(std::mem::replace(&mut body.bytes, out))
    }

    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::None => out.extend_from_slice(bytes),
            Self::Lz4 => {
                let mut frame = FrameEncoder::new(out);
                frame.write_all(bytes).context(Code::Internal, failed)?;
                frame.finish().context(Code::Internal, failed)?;
            }
            Self::Zstd(codec) => {
                let codec = match codec {
                    Some(codec) => codec,
                    None => codec.insert(Box::new(
                        zstd::bulk::Compressor::new(ZSTD_LEVEL).context(Code::Internal, failed)?,
                    )),
                };
                let packed = codec.compress(bytes).context(Code::Internal, failed)?;
                out.extend_from_slice(&packed);
            }
        }
        Ok(())
    }
}

fn failed() -> String {
    "sealing: compress a message".to_owned()
}
