//! Animated WebP, composed of still pictures.
//!
//! The [container](https://developers.google.com/speed/webp/docs/riff_container) has a chunk `ANMF` for each frame, which
//! contains the chunks of a still picture. A frame is therefore neither decoded nor encoded again.

use super::error::AnimationError;

/// Header of a file before its first chunk: `RIFF`, size, `WEBP`.
const FILE_HEADER: usize = 12;
/// Header of a chunk: name and size.
const CHUNK_HEADER: usize = 8;
/// Position of the flags of the chunk `VP8X`, which follows the header.
const FLAGS: usize = FILE_HEADER + CHUNK_HEADER;
/// Flags of `VP8X`.
const ANIMATION: u8 = 0x02;
const ALPHA: u8 = 0x10;
/// Flag of `ANMF`: the frame replaces the canvas instead of being blended.
const NO_BLENDING: u8 = 0x02;

/// An animated WebP that is composed in memory.
#[derive(Debug)]
pub(super) struct Webp {
    file: Vec<u8>,
    size: (u32, u32),
}

impl Webp {
    /// Starts a file. `plays` is the number of times that it is played, 0 for no end.
    pub(super) fn new((width, height): (u32, u32), plays: u16) -> Self {
        // The size of the file is written by `finish`.
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        file.extend(chunk_header(*b"VP8X", 10));
        file.extend([ANIMATION, 0, 0, 0]);
        file.extend(u24(width.saturating_sub(1)));
        file.extend(u24(height.saturating_sub(1)));
        file.extend(chunk_header(*b"ANIM", 6));
        // Background colour, which no frame leaves visible.
        file.extend([0; 4]);
        file.extend(plays.to_le_bytes());
        Self {
            file,
            size: (width, height),
        }
    }

    /// Returns the number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.file.len()
    }

    /// Appends a still picture, which is displayed for this number of milliseconds.
    pub(super) fn add(&mut self, picture: &[u8], milliseconds: u32) -> Result<(), AnimationError> {
        let invalid = AnimationError::InvalidFrame("not a WebP picture");
        let is_webp = picture.starts_with(b"RIFF") && picture.get(8..FILE_HEADER) == Some(b"WEBP");
        let mut rest = picture.get(FILE_HEADER..).filter(|_| is_webp).ok_or(invalid)?;
        let frame = self.file.len();
        self.file.extend(chunk_header(*b"ANMF", 0));
        // Position of the frame.
        self.file.extend([0; 6]);
        self.file.extend(u24(self.size.0.saturating_sub(1)));
        self.file.extend(u24(self.size.1.saturating_sub(1)));
        self.file.extend(u24(milliseconds));
        self.file.push(NO_BLENDING);
        let mut has_image = false;
        while let Some((header, _)) = rest.split_first_chunk::<CHUNK_HEADER>() {
            let [a, b, c, d, size @ ..] = *header;
            let size = u32::from_le_bytes(size) as usize;
            // Chunks of odd size are padded.
            let end = CHUNK_HEADER + size + size % 2;
            let chunk = rest.get(..end).ok_or(invalid)?;
            let name = [a, b, c, d];
            // Of the other chunks, `VP8X` repeats the size of the picture.
            if matches!(&name, b"ALPH" | b"VP8 " | b"VP8L") {
                self.file.extend_from_slice(chunk);
                has_image |= name != *b"ALPH";
                if name != *b"VP8 " {
                    self.file[FLAGS] |= ALPHA;
                }
            }
            rest = &rest[end..];
        }
        let size = self.file.len() - frame - CHUNK_HEADER;
        let size = u32::try_from(size).map_err(|_| AnimationError::TooLarge)?;
        self.file[frame + 4..frame + CHUNK_HEADER].copy_from_slice(&size.to_le_bytes());
        if has_image { Ok(()) } else { Err(invalid) }
    }

    /// Returns the complete file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, AnimationError> {
        let size = u32::try_from(self.file.len() - CHUNK_HEADER).map_err(|_| AnimationError::TooLarge)?;
        self.file[4..CHUNK_HEADER].copy_from_slice(&size.to_le_bytes());
        Ok(self.file)
    }
}

fn chunk_header(name: [u8; 4], size: u32) -> impl Iterator<Item = u8> {
    name.into_iter().chain(size.to_le_bytes())
}

/// Returns the lower 24 bits.
fn u24(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn still(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        for (name, content) in chunks {
            file.extend(chunk_header(**name, content.len() as u32));
            file.extend_from_slice(content);
            file.extend(vec![0; content.len() % 2]);
        }
        file
    }

    #[test]
    fn a_file_has_the_chunks_of_its_frames() {
        let mut webp = Webp::new((300, 2), 3);
        webp.add(&still(&[(b"VP8 ", b"abc")]), 100).unwrap();
        let header = [
            &b"VP8X\x0a\0\0\0\x02\0\0\0\x2b\x01\0\x01\0\0"[..],
            b"ANIM\x06\0\0\0\0\0\0\0\x03\0",
        ]
        .concat();
        let first = [
            &b"ANMF\x1c\0\0\0\0\0\0\0\0\0\x2b\x01\0\x01\0\0\x64\0\0\x02"[..],
            b"VP8 \x03\0\0\0abc\0",
        ]
        .concat();
        let file = webp.finish().unwrap();
        assert_eq!(file[FILE_HEADER..], [header, first].concat());
        assert_eq!(file[..FILE_HEADER], *b"RIFF\x48\0\0\0WEBP");
        assert_eq!(file.len(), 0x48 + 8);

        let mut webp = Webp::new((300, 2), 3);
        webp.add(
            &still(&[(b"VP8X", &[0; 10]), (b"ALPH", b"a"), (b"VP8 ", b"ab")]),
            0xfffffe,
        )
        .unwrap();
        let file = webp.finish().unwrap();
        assert_eq!(file[FLAGS], ANIMATION | ALPHA);
        assert!(
            file.ends_with(b"\xfe\xff\xff\x02ALPH\x01\0\0\0a\0VP8 \x02\0\0\0ab"),
            "{file:?}"
        );
    }

    #[test]
    fn other_bytes_are_an_error() {
        let whole = still(&[(b"VP8 ", b"abcd")]);
        let cut = &whole[..whole.len() - 1];
        for picture in [
            cut,
            b"",
            b"RIFF",
            &still(&[(b"ALPH", b"a")]),
            b"GIF89a-------------",
        ] {
            let mut webp = Webp::new((1, 1), 0);
            assert!(webp.add(picture, 1).is_err(), "{picture:?}");
        }
    }
}
