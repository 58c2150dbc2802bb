//! Splits a stream of concatenated pictures, by the structure of each format or by a fixed size.

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};

use super::ivf;
use crate::extract::{ExtractRequest, PictureFormat};
use crate::limits::PICTURE_BYTES;

/// How the pictures of a stream are delimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By the structure of JPEG.
    Jpeg,
    /// By the structure of PNG.
    Png,
    /// By the structure of WebP.
    Webp,
    /// By the container IVF. The reader makes an AVIF file of each frame.
    Ivf,
    /// By a fixed number of bytes. The reader adds the header to each picture.
    Fixed {
        header: Vec<u8>,
        bytes: usize,
        width: u32,
        height: u32,
    },
}

impl Framing {
    /// Returns the framing of the requested pictures.
    pub(crate) fn new(request: &ExtractRequest) -> Self {
        let format = request.picture.format;
        if let Some(framing) = Self::encoded(format) {
            return framing;
        }
        let (width, height) = request.picture_size();
        let pixels = request.picture.pixels;
        let header = match format {
            PictureFormat::Npy => pixels.npy_header(width, height, None),
            _ => Vec::new(),
        };
        Self::Fixed {
            header,
            bytes: pixels.picture_bytes(width, height),
            width,
            height,
        }
    }

    /// Returns the framing of encoded pictures; `None` for pixels.
    pub(crate) fn encoded(format: PictureFormat) -> Option<Self> {
        match format {
            PictureFormat::Jpg => Some(Self::Jpeg),
            PictureFormat::Png => Some(Self::Png),
            PictureFormat::Webp => Some(Self::Webp),
            PictureFormat::Avif => Some(Self::Ivf),
            PictureFormat::Raw | PictureFormat::Npy => None,
        }
    }
}

impl Framing {
    /// Returns the number of bytes in flight below which another picture is read: several small pictures are in
    /// flight at once, or one large picture. Uncompressed pictures are large, and a decoder should not wait for each.
    pub(crate) fn in_flight(&self) -> usize {
        const ENCODED: usize = 4 << 20;
        const UNCOMPRESSED: usize = 32 << 20;
        match self {
            Self::Fixed { bytes, .. } => bytes.saturating_mul(4).clamp(ENCODED, UNCOMPRESSED),
            Self::Jpeg | Self::Png | Self::Webp | Self::Ivf => ENCODED,
        }
    }
}

/// Reads pictures one by one.
pub(crate) struct PictureReader<R> {
    reader: R,
    framing: Framing,
    buffer: BytesMut,
    ended: bool,
    /// Width and height in the header of an IVF stream.
    ivf_size: Option<(u32, u32)>,
}

impl<R: Read> PictureReader<R> {
    pub(crate) fn new(reader: R, framing: Framing) -> Self {
        Self {
            reader,
            framing,
            buffer: BytesMut::new(),
            ended: false,
            ivf_size: None,
        }
    }

    /// Returns whether the stream has ended. Waits for the first byte of another picture.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.buffer.is_empty() && !self.ended {
            self.fill()?;
        }
        Ok(self.buffer.is_empty() && self.ended)
    }

    /// Returns the next complete picture with its width and height, or `None` at the end of the stream.
    ///
    /// # Errors
    /// Fails if the stream ends inside a picture or contains data of another format.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Bytes, u32, u32)>> {
        if self.framing == Framing::Ivf && self.ivf_size.is_none() {
            self.read_ivf_header()?;
        }
        let mut scan = Scan::default();
        loop {
            let end = match self.framing {
                Framing::Jpeg => scan.jpeg(&self.buffer)?,
                Framing::Png => scan.png(&self.buffer)?,
                Framing::Webp => scan.webp(&self.buffer)?,
                Framing::Ivf => Scan::ivf(&self.buffer)?,
                Framing::Fixed { .. } => return self.next_fixed(),
            };
            if let Some(end) = end {
                let picture = self.buffer.split_to(end).freeze();
                let (width, height) = self.ivf_size.unwrap_or((scan.width, scan.height));
                let picture = match self.framing {
                    Framing::Ivf => ivf::avif(&picture, (width, height))?,
                    _ => picture,
                };
                return Ok(Some((picture, width, height)));
            }
            if self.ended {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            if self.buffer.len() > PICTURE_BYTES {
                return Err(invalid("a picture exceeds the maximum size"));
            }
            self.fill()?;
        }
    }

    /// Returns the next picture of a fixed size. The bytes that are not buffered yet are read to their final position.
    fn next_fixed(&mut self) -> io::Result<Option<(Bytes, u32, u32)>> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let Framing::Fixed {
            header,
            bytes,
            width,
            height,
        } = &self.framing
        else {
            return Ok(None);
        };
        if *bytes > PICTURE_BYTES {
            return Err(invalid("a picture exceeds the maximum size"));
        }
        let mut picture = vec![0; header.len() + bytes];
        let (head, pixels) = picture.split_at_mut(header.len());
        head.copy_from_slice(header);
        let buffered = self.buffer.split_to(self.buffer.len().min(*bytes));
        let (first, rest) = pixels.split_at_mut(buffered.len());
        first.copy_from_slice(&buffered);
        self.reader.read_exact(rest)?;
        Ok(Some((picture.into(), *width, *height)))
    }

    /// Reads width and height from the header of an IVF stream. A stream may end before its header.
    fn read_ivf_header(&mut self) -> io::Result<()> {
        while self.buffer.len() < ivf::HEADER && !self.ended {
            self.fill()?;
        }
        if !self.buffer.is_empty() {
            let size = ivf::size(&self.buffer).ok_or_else(|| invalid("not an IVF stream"))?;
            self.ivf_size = Some(size);
            self.buffer.advance(ivf::HEADER);
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let start = self.buffer.len();
        self.buffer.resize(start + (1 << 16), 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[start..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Position of the parser in the picture at the front of the buffer.
#[derive(Default)]
struct Scan {
    at: usize,
    in_entropy_data: bool,
    width: u32,
    height: u32,
}

fn be16(data: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(
        data.get(at..at + 2)?.try_into().ok()?,
    )))
}

fn be32(data: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?)).ok()
}

impl Scan {
    /// IVF: each frame has a header with its length.
    fn ivf(data: &[u8]) -> io::Result<Option<usize>> {
        match ivf::frame_end(data) {
            Some(end) if end > PICTURE_BYTES => Err(invalid("invalid IVF")),
            end => Ok(end.filter(|end| data.len() >= *end)),
        }
    }

    /// ITU-T T.81, annex B: segments with lengths, then entropy-coded data up to a marker.
    fn jpeg(&mut self, data: &[u8]) -> io::Result<Option<usize>> {
        if self.at == 0 {
            match data.get(..2) {
                None => return Ok(None),
                Some([0xff, 0xd8]) => self.at = 2,
                Some(_) => return Err(invalid("not a JPEG")),
            }
        }
        loop {
            if self.in_entropy_data {
                let Some(found) = memchr::memchr(0xff, &data[self.at..]) else {
                    self.at = data.len();
                    return Ok(None);
                };
                self.at += found;
                match data.get(self.at + 1) {
                    None => return Ok(None),
                    // A stuffed 0xff, a restart marker, or fill bytes.
                    Some(0 | 0xd0..=0xd7) => self.at += 2,
                    Some(0xff) => self.at += 1,
                    Some(_) => self.in_entropy_data = false,
                }
                continue;
            }
            let (Some(&start), Some(&marker)) = (data.get(self.at), data.get(self.at + 1)) else {
                return Ok(None);
            };
            if start != 0xff {
                return Err(invalid("invalid JPEG"));
            }
            if marker == 0xd9 {
                return Ok(Some(self.at + 2));
            }
            let Some(length) = be16(data, self.at + 2) else {
                return Ok(None);
            };
            if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
                let (Some(height), Some(width)) = (be16(data, self.at + 5), be16(data, self.at + 7)) else {
                    return Ok(None);
                };
                (self.width, self.height) = (width as u32, height as u32);
            }
            if data.len() < self.at + 2 + length {
                return Ok(None);
            }
            self.at += 2 + length.max(2);
            self.in_entropy_data = marker == 0xda;
        }
    }

    /// PNG specification, section 5: a signature, then chunks up to `IEND`.
    fn png(&mut self, data: &[u8]) -> io::Result<Option<usize>> {
        if self.at == 0 {
            match data.get(..8) {
                None => return Ok(None),
                Some(b"\x89PNG\r\n\x1a\n") => self.at = 8,
                Some(_) => return Err(invalid("not a PNG")),
            }
        }
        loop {
            let (Some(length), Some(kind)) = (be32(data, self.at), data.get(self.at + 4..self.at + 8)) else {
                return Ok(None);
            };
            if length > PICTURE_BYTES {
                return Err(invalid("invalid PNG"));
            }
            if data.len() < self.at + 12 + length {
                return Ok(None);
            }
            if kind == b"IHDR" {
                self.width = be32(data, self.at + 8).unwrap_or(0) as u32;
                self.height = be32(data, self.at + 12).unwrap_or(0) as u32;
            }
            let last = kind == b"IEND";
            self.at += 12 + length;
            if last {
                return Ok(Some(self.at));
            }
        }
    }

    /// RIFF: the header contains the size of the file. The size of the picture comes from its `VP8 ` or `VP8X`
    /// chunk.
    fn webp(&mut self, data: &[u8]) -> io::Result<Option<usize>> {
        let Some(head) = data.get(..30) else {
            return Ok(None);
        };
        if &head[..4] != b"RIFF" || &head[8..12] != b"WEBP" {
            return Err(invalid("not a WebP"));
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize + 8;
        if length > PICTURE_BYTES {
            return Err(invalid("invalid WebP"));
        }
        let le = |at: usize, bytes: usize| {
            (0..bytes)
                .map(|i| u32::from(head[at + i]) << (8 * i))
                .sum::<u32>()
        };
        (self.width, self.height) = match &head[12..16] {
            b"VP8 " => (le(26, 2) & 0x3fff, le(28, 2) & 0x3fff),
            b"VP8X" => (le(24, 3) + 1, le(27, 3) + 1),
            _ => return Err(invalid("unexpected kind of WebP")),
        };
        // RIFF pads to even sizes.
        let length = length + length % 2;
        Ok((data.len() >= length).then_some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = &[
        0xff, 0xd8, 0xff, 0xfe, 0, 4, 0xff, 0xd9, 0xff, 0xc0, 0, 9, 8, 0, 3, 0, 5, 0, 0, 0xff, 0xda, 0, 2, 1,
        0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xd9,
    ];

    #[test]
    fn splits_pictures_independently_of_read_sizes() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(1);
                buffer[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let stream = [JPEG, JPEG].concat();
        let mut reader = PictureReader::new(Drip(&stream), Framing::Jpeg);
        for _ in 0..2 {
            let (bytes, width, height) = reader.next().unwrap().unwrap();
            assert_eq!((&bytes[..], width, height), (JPEG, 5, 3));
        }
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn pictures_of_a_fixed_size_get_their_header() {
        let framing = Framing::Fixed {
            header: b"head".to_vec(),
            bytes: 3,
            width: 3,
            height: 1,
        };
        let mut reader = PictureReader::new(&b"abcdef"[..], framing.clone());
        for expected in [b"headabc", b"headdef"] {
            let (bytes, width, height) = reader.next().unwrap().unwrap();
            assert_eq!((&bytes[..], width, height), (&expected[..], 3, 1));
        }
        assert!(reader.next().unwrap().is_none());
        let mut truncated = PictureReader::new(&b"abcd"[..], framing.clone());
        assert!(truncated.next().is_ok() && truncated.next().is_err());

        // Larger than one read.
        let large = vec![7; 300_000];
        let framing = Framing::Fixed {
            header: Vec::new(),
            bytes: 150_000,
            width: 150_000,
            height: 1,
        };
        let mut reader = PictureReader::new(&large[..], framing);
        for _ in 0..2 {
            assert_eq!(reader.next().unwrap().unwrap().0, &large[..150_000]);
        }
        assert!(reader.is_at_end().unwrap());
    }

    #[test]
    fn frames_of_ivf_become_avif_files() {
        let mut stream = b"DKIF\0\0\x20\0AV01".to_vec();
        stream.extend([64, 1, 180, 0]);
        stream.resize(ivf::HEADER, 0);
        assert!(
            PictureReader::new(&stream[..], Framing::Ivf)
                .next()
                .unwrap()
                .is_none()
        );
        for frame in [&[0x12, 0, 1, 2, 3][..], &[4, 5]] {
            stream.extend((frame.len() as u32).to_le_bytes());
            stream.extend([0; 8]);
            stream.extend(frame);
        }
        let mut reader = PictureReader::new(&stream[..], Framing::Ivf);
        for frame in [&[1, 2, 3][..], &[4, 5]] {
            let (file, width, height) = reader.next().unwrap().unwrap();
            assert_eq!((width, height), (320, 180));
            assert!(
                file[4..].starts_with(b"ftypavif") && file.ends_with(frame),
                "{file:?}"
            );
        }
        assert!(reader.next().unwrap().is_none());
        let mut truncated = PictureReader::new(&stream[..stream.len() - 1], Framing::Ivf);
        assert!(truncated.next().is_ok() && truncated.next().is_err());
        assert!(PictureReader::new(JPEG, Framing::Ivf).next().is_err());
    }

    #[test]
    fn rejects_truncated_streams_and_other_formats() {
        assert!(PictureReader::new(&JPEG[..20], Framing::Jpeg).next().is_err());
        assert!(
            PictureReader::new(&b"plain text, no picture"[..], Framing::Png)
                .next()
                .is_err()
        );
        assert!(PictureReader::new(&[b'x'; 40][..], Framing::Webp).next().is_err());
    }
}
