//! The container IVF with AV1 keyframes, and AVIF files of these frames.

use std::io;

use bytes::Bytes;

/// Length of the header of a stream.
pub(super) const HEADER: usize = 32;
/// Length of the header of a frame.
const FRAME_HEADER: usize = 12;
/// The delimiter between frames of a stream (an OBU without content), which is no part of a picture.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

/// Returns width and height in the header of a stream; `None` for other bytes.
pub(super) fn size(stream: &[u8]) -> Option<(u32, u32)> {
    let header = stream
        .get(..HEADER)
        .filter(|header| header.starts_with(b"DKIF"))?;
    let side = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]));
    Some((side(12), side(14)))
}

/// Returns the length of the frame at the start of `stream`, with its header.
pub(super) fn frame_end(stream: &[u8]) -> Option<usize> {
    let (length, _) = stream.split_first_chunk::<4>()?;
    Some(FRAME_HEADER.saturating_add(u32::from_le_bytes(*length) as usize))
}

/// Returns the AVIF file of a frame with its header.
pub(super) fn avif(frame: &[u8], (width, height): (u32, u32)) -> io::Result<Bytes> {
    let frame = frame.get(FRAME_HEADER..).unwrap_or_default();
    let frame = frame.strip_prefix(&TEMPORAL_DELIMITER).unwrap_or(frame);
    let mut file = Vec::with_capacity(frame.len() + 512);
    avif_serialize::Aviffy::new()
        .set_seq_profile(0)
        .set_chroma_subsampling((true, true))
        .write(&mut file, frame, None, width, height, 8)?;
    Ok(file.into())
}
