//! The structure block as a stream of tokens, each wholly inside the block.
//!
//! Layout: Devicetree Specification v0.4, section 5.4. Every token starts on a multiple of 4 bytes.

use super::error::BlobError;

pub(super) const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
pub(super) const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Size of a token's number and of everything that tokens are padded to, in bytes.
pub(super) const WORD: usize = 4;

/// One token, with the bytes that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A node begins; the name is without its terminating zero.
    BeginNode(&'a [u8]),
    /// The innermost open node ends.
    EndNode,
    /// A property of the innermost open node.
    Property {
        /// Where the name starts in the strings block.
        name: u32,
        /// The value, without padding.
        value: &'a [u8],
    },
    /// Nothing: what is left of a node or property that somebody deleted in place.
    Nop,
    /// The structure ends.
    End,
}

/// Reads tokens one after the other.
pub(super) struct Tokens<'a> {
    block: &'a [u8],
    /// Where the block starts in the blob, for messages.
    base: usize,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Tokens of `block`, which starts `base` bytes into the blob.
    pub fn new(block: &'a [u8], base: usize) -> Self {
        Self { block, base, at: 0 }
    }

    /// Where the next token starts in the block.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Where the next token starts in the blob.
    pub fn offset(&self) -> usize {
        self.base + self.at
    }

    /// The next token.
    pub fn read(&mut self) -> Result<Token<'a>, BlobError> {
        let offset = self.offset();
        match self.word("token")? {
            BEGIN_NODE => self.name(offset).map(Token::BeginNode),
            END_NODE => Ok(Token::EndNode),
            PROPERTY => self.property(offset),
            NOP => Ok(Token::Nop),
            END => Ok(Token::End),
            token => Err(BlobError::UnknownToken { offset, token }),
        }
    }

    fn name(&mut self, offset: usize) -> Result<&'a [u8], BlobError> {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == 0).ok_or(BlobError::OpenName { offset })?;
        let (name, _) = rest.split_at(length);
        self.skip("node name", length + 1, offset)?;
        Ok(name)
    }

    fn property(&mut self, offset: usize) -> Result<Token<'a>, BlobError> {
        let length = self.word("property")? as usize;
        let name = self.word("property")?;
        let rest = self.block.get(self.at..).unwrap_or_default();
        self.skip("property", length, offset)?;
        Ok(Token::Property { name, value: rest.get(..length).unwrap_or_default() })
    }

    fn word(&mut self, what: &'static str) -> Result<u32, BlobError> {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let Some(word) = rest.first_chunk::<WORD>() else {
            return Err(BlobError::Cut { what, offset: self.offset(), needs: WORD, left: rest.len() });
        };
        self.at += WORD;
        Ok(u32::from_be_bytes(*word))
    }

    /// Steps over `length` bytes and their padding.
    fn skip(&mut self, what: &'static str, length: usize, offset: usize) -> Result<(), BlobError> {
        let left = self.block.len() - self.at;
        match length.checked_next_multiple_of(WORD) {
            Some(padded) if padded <= left => self.at += padded,
            _ => {
                return Err(BlobError::Cut { what, offset, needs: length, left });
            }
        }
        Ok(())
    }
}
