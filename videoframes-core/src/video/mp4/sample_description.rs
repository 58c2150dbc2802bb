//! Writer of sample description boxes for tracks of other containers.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::{Colour, colour_names};

/// Returns a sample description box (`stsd`) with one visual sample entry (ISO/IEC 14496-12, 12.1.3): its format,
/// its size in pixels, its configuration box (kind and content), and the colour tags.
pub(in crate::video) fn write(
    format: [u8; 4],
    (width, height): (u16, u16),
    configuration: Option<([u8; 4], &[u8])>,
    colour: &Colour,
) -> Bytes {
    let mut entry = BytesMut::new();
    entry.put_bytes(0, 6);
    entry.put_u16(1); // data_reference_index
    entry.put_bytes(0, 16);
    entry.put_u16(width);
    entry.put_u16(height);
    entry.put_u32(72 << 16); // horizresolution, dots per inch
    entry.put_u32(72 << 16); // vertresolution
    entry.put_u32(0);
    entry.put_u16(1); // frame_count
    entry.put_bytes(0, 32); // compressorname
    entry.put_u16(24); // depth
    entry.put_i16(-1);
    if let Some((kind, content)) = configuration {
        put_box(&mut entry, kind, content);
    }
    if *colour != Colour::default() {
        put_box(&mut entry, *b"colr", &colour_box(colour));
    }
    let mut description = BytesMut::new();
    description.put_u32(0); // version and flags
    description.put_u32(1); // entry_count
    put_box(&mut description, format, &entry);
    let mut whole = BytesMut::new();
    put_box(&mut whole, *b"stsd", &description);
    whole.freeze()
}

fn put_box(out: &mut BytesMut, kind: [u8; 4], content: &[u8]) {
    // Contents are parameter sets, which the caller limits.
    out.put_u32(u32::try_from(content.len() + 8).unwrap_or(u32::MAX));
    out.put_slice(&kind);
    out.put_slice(content);
}

/// Returns the content of a `colr` box (12.1.5).
fn colour_box(colour: &Colour) -> BytesMut {
    const UNSPECIFIED: u16 = 2;
    let mut content = BytesMut::from(&b"nclx"[..]);
    for code in [
        colour.primaries.as_deref().and_then(colour_names::primaries_code),
        colour.transfer.as_deref().and_then(colour_names::transfer_code),
        colour.matrix.as_deref().and_then(colour_names::matrix_code),
    ] {
        content.put_u16(code.unwrap_or(UNSPECIFIED));
    }
    content.put_u8(u8::from(colour.full_range == Some(true)) << 7);
    content
}
