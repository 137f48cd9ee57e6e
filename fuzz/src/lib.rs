//! What must hold for whatever bytes a server sends, and for whatever a browser gives back.
//!
//! The fuzz targets call these properties with inputs of their own making, `tests/fuzz_corpus.rs` with those in
//! `fuzz/corpus`, which are the ones that led the fuzzer somewhere.

pub mod chat;
pub mod cursor;
pub mod event;
pub mod sse;

use ai_engine::openai::Result;
use bytes::Bytes;

/// An input: what a server sends, how it is cut into chunks, and a choice that is the property's to use.
pub struct Input<'i> {
    pub choice: u8,
    sizes: &'i [u8],
    pub body: &'i [u8],
}

impl<'i> Input<'i> {
    /// The first byte is the choice, the second says how many sizes of chunks follow, the rest is the body.
    pub fn new(input: &'i [u8]) -> Option<Self> {
        let [choice, count, rest @ ..] = input else { return None };
        let (sizes, body) = rest.split_at_checked(usize::from(count % 16))?;
        Some(Self { choice: *choice, sizes, body })
    }

    /// The body as it arrives: a chunk of each size, then the rest.
    pub fn chunks(&self) -> Vec<Result<Bytes>> {
        let mut rest = Bytes::copy_from_slice(self.body);
        let sizes = self.sizes.iter().map(|size| usize::from(*size));
        let mut chunks: Vec<_> =
            sizes.map(|size| Ok(rest.split_to(size.min(rest.len())))).collect();
        chunks.push(Ok(rest));
        chunks
    }

    /// The body at once.
    pub fn whole(&self) -> Vec<Result<Bytes>> {
        vec![Ok(Bytes::copy_from_slice(self.body))]
    }
}
