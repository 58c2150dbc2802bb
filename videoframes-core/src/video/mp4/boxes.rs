//! Boxes of ISO/IEC 14496-12: size, kind and content.

use mp4_atom::{Atom, Decode, FourCC, Header};

use super::super::NoIndex;

/// Maximum number of boxes inside a box; regular files have far fewer.
const MAX_CHILDREN: usize = 100_000;

/// A box in a buffer that contains all of the box.
#[derive(Debug, Clone, Copy)]
pub(in crate::video) struct Box<'a> {
    pub(super) kind: [u8; 4],
    /// Header and content.
    pub(super) whole: &'a [u8],
    /// Content.
    pub(super) body: &'a [u8],
}

impl<'a> Box<'a> {
    /// Returns the consecutive boxes in `data`. A remainder too short for a header is padding.
    pub(in crate::video) fn all(data: &'a [u8]) -> Result<Vec<Self>, NoIndex> {
        let mut found = Vec::new();
        let mut rest = data;
        while rest.len() >= 8 {
            let mut body = rest;
            let header = Header::decode(&mut body).map_err(|_| broken())?;
            // QuickTime terminates lists of boxes with a zero.
            if header.size.is_none() && header.kind == FourCC::new(b"\0\0\0\0") {
                break;
            }
            let size = header.size.unwrap_or(body.len());
            if size > body.len() || found.len() >= MAX_CHILDREN {
                return Err(broken());
            }
            let header_size = rest.len() - body.len();
            found.push(Self {
                kind: *header.kind.as_ref(),
                whole: &rest[..header_size + size],
                body: &body[..size],
            });
            rest = &rest[header_size + size..];
        }
        Ok(found)
    }

    /// Returns the boxes inside.
    pub(super) fn children(&self) -> Result<Vec<Self>, NoIndex> {
        Self::all(self.body)
    }

    /// Decodes the content as an atom. Bytes after the atom are padding.
    pub(super) fn decode<T: Atom>(&self) -> Result<T, NoIndex> {
        T::decode_body(&mut &*self.body).map_err(|_| self.unreadable())
    }

    pub(super) fn unreadable(&self) -> NoIndex {
        NoIndex::new(format!("the box '{}' cannot be read", self.kind.escape_ascii()))
    }
}

fn broken() -> NoIndex {
    NoIndex::new("the boxes are not nested correctly")
}

/// Returns the first box of a kind.
pub(super) fn find<'a>(boxes: &[Box<'a>], kind: &[u8; 4]) -> Option<Box<'a>> {
    boxes.iter().find(|b| b.kind == *kind).copied()
}

/// Returns the first box of a kind, or an error if there is none.
pub(super) fn need<'a>(boxes: &[Box<'a>], kind: &[u8; 4]) -> Result<Box<'a>, NoIndex> {
    find(boxes, kind).ok_or_else(|| NoIndex::new(format!("the box '{}' is missing", kind.escape_ascii())))
}
