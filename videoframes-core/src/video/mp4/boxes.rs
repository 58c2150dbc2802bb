//! Boxes of ISO/IEC 14496-12: a size, a kind, and what is inside.

use mp4_atom::{Atom, Decode, FourCC, Header};

use super::super::NoIndex;

/// Boxes deeper or more than this are no movie of a sane writer.
const MOST_CHILDREN: usize = 100_000;

/// A box inside a buffer that holds all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Box<'a> {
    pub(super) kind: [u8; 4],
    /// Header and content.
    pub(super) whole: &'a [u8],
    /// Content.
    pub(super) body: &'a [u8],
}

impl<'a> Box<'a> {
    /// The boxes that follow each other in `data`; a rest too short for a header is padding.
    pub(super) fn all(data: &'a [u8]) -> Result<Vec<Self>, NoIndex> {
        let mut found = Vec::new();
        let mut rest = data;
        while rest.len() >= 8 {
            let mut body = rest;
            let header = Header::decode(&mut body).map_err(|_| broken())?;
            // QuickTime ends lists of boxes with a zero.
            if header.size.is_none() && header.kind == FourCC::new(b"\0\0\0\0") {
                break;
            }
            let size = header.size.unwrap_or(body.len());
            if size > body.len() || found.len() >= MOST_CHILDREN {
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

    /// The boxes inside.
    pub(super) fn children(&self) -> Result<Vec<Self>, NoIndex> {
        Self::all(self.body)
    }

    /// The content as an atom; what stands behind it is padding.
    pub(super) fn decode<T: Atom>(&self) -> Result<T, NoIndex> {
        T::decode_body(&mut &*self.body).map_err(|_| self.unreadable())
    }

    pub(super) fn unreadable(&self) -> NoIndex {
        NoIndex::new(format!("its box '{}' cannot be read", self.kind.escape_ascii()))
    }
}

fn broken() -> NoIndex {
    NoIndex::new("its boxes do not fit into each other")
}

/// The first box of a kind.
pub(super) fn find<'a>(boxes: &[Box<'a>], kind: &[u8; 4]) -> Option<Box<'a>> {
    boxes.iter().find(|b| b.kind == *kind).copied()
}

/// The first box of a kind, which has to be there.
pub(super) fn need<'a>(boxes: &[Box<'a>], kind: &[u8; 4]) -> Result<Box<'a>, NoIndex> {
    find(boxes, kind).ok_or_else(|| NoIndex::new(format!("its box '{}' is missing", kind.escape_ascii())))
}
