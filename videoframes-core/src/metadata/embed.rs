//! Insertion into JPEG, PNG and WebP. The encoded pixels stay unchanged.

use bytes::{BufMut, Bytes, BytesMut};
use img_parts::jpeg::{Jpeg, JpegSegment, markers};
use img_parts::png::{Png, PngChunk};
use img_parts::riff::{RiffChunk, RiffContent};
use img_parts::webp::{CHUNK_VP8X, CHUNK_XMP, WebP};
use img_parts::{Error, ImageEXIF};

use super::frame::FrameMetadata;
use super::{exif, xmp};
use crate::extract::PictureFormat;

/// Prefix of XMP in a segment of a JPEG (XMP Specification Part 3, 1.1.3).
const JPEG_XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Beginning of XMP in a chunk of a PNG: the keyword, no compression, no language and no translation.
const PNG_XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";
/// Flag in the header of a WebP that has XMP.
const WEBP_XMP: u8 = 1 << 2;

/// Error of metadata that cannot be embedded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbedError {
    #[error("failed to encode Exif")]
    Exif(#[from] ::exif::Error),
    #[error("failed to read the picture")]
    Picture(#[from] Error),
}

/// Returns the picture with the metadata, or unchanged if the format has none.
pub(crate) fn embed(
    picture: Bytes,
    format: PictureFormat,
    metadata: &FrameMetadata<'_>,
) -> Result<Bytes, EmbedError> {
    if !format.holds_metadata() {
        return Ok(picture);
    }
    let exif = Bytes::from(exif::block(metadata)?);
    let xmp = xmp::packet(metadata);
    Ok(match format {
        PictureFormat::Jpg => jpeg(picture, exif, &xmp)?,
        PictureFormat::Png => png(picture, exif, &xmp)?,
        PictureFormat::Webp => webp(picture, exif, xmp)?,
        _ => picture,
    })
}

/// Inserts two segments after JFIF's own, Exif first.
fn jpeg(picture: Bytes, exif: Bytes, xmp: &str) -> Result<Bytes, Error> {
    let mut jpeg = Jpeg::from_bytes(picture)?;
    jpeg.set_exif(Some(exif));
    let segments = jpeg.segments_mut();
    let first = |segment: &JpegSegment| segment.marker() == markers::APP1;
    let position = segments.iter().position(first).map_or(0, |exif| exif + 1);
    let content = Bytes::from([JPEG_XMP, xmp.as_bytes()].concat());
    segments.insert(position, JpegSegment::new_with_contents(markers::APP1, content));
    Ok(jpeg.encoder().bytes())
}

/// Inserts two chunks after the header.
fn png(picture: Bytes, exif: Bytes, xmp: &str) -> Result<Bytes, Error> {
    let mut png = Png::from_bytes(picture)?;
    png.set_exif(Some(exif));
    let content = Bytes::from([PNG_XMP, xmp.as_bytes()].concat());
    let position = png.chunks().len().min(2);
    png.chunks_mut()
        .insert(position, PngChunk::new(*b"iTXt", content));
    Ok(png.encoder().bytes())
}

/// Appends two chunks, and announces both in the extended header.
fn webp(picture: Bytes, exif: Bytes, xmp: String) -> Result<Bytes, Error> {
    let mut webp = WebP::from_bytes(picture)?;
    webp.set_exif(Some(exif));
    let chunks = webp.chunks_mut();
    chunks.push(RiffChunk::new(CHUNK_XMP, RiffContent::Data(xmp.into())));
    let header = chunks.iter_mut().find(|chunk| chunk.id() == CHUNK_VP8X);
    if let Some(RiffContent::Data(data)) = header.map(RiffChunk::content_mut)
        && let [flags, rest @ ..] = data.as_ref()
    {
        let mut changed = BytesMut::with_capacity(data.len());
        changed.put_u8(flags | WEBP_XMP);
        changed.put_slice(rest);
        *data = changed.freeze();
    }
    Ok(webp.encoder().bytes())
}
