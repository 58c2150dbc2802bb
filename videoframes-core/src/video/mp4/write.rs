//! Writer of a track's samples as fragmented MP4 (ISO/IEC 14496-12, 8.8), for a decoder that reads from a pipe.

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{
    Dinf, Dref, DrefEntry, Encode, Error, FourCC, Ftyp, Hdlr, Matrix, Mdhd, Mfhd, Mvhd, Stco, Stsc, Stsz,
    Stts, Tfdt, Tfhd, Tkhd, Trex, Trun, TrunEntry, Url, Vmhd,
};

use super::super::Track;

/// Number of the only track.
const TRACK: u32 = 1;
/// Ticks per second. Times only have to be distinct.
const TIME_SCALE: u32 = 1000;

/// A sample of a fragment.
#[derive(Debug, Clone)]
pub(crate) struct FragmentSample {
    pub(crate) bytes: Bytes,
    /// Decode time, which increases from sample to sample.
    pub(crate) decode_time: u64,
    /// Presentation time, at or after the decode time.
    pub(crate) presentation_time: u64,
    pub(crate) sync: bool,
}

/// Returns the header of the file: the track with its unchanged sample description.
pub(crate) fn head(track: &Track) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(1024 + track.sample_description.len());
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"qt  ")],
    }
    .encode(&mut out)?;
    nest(&mut out, b"moov", |out| {
        let matrix = Matrix::default();
        Mvhd {
            timescale: TIME_SCALE,
            next_track_id: TRACK + 1,
            rate: 1.into(),
            volume: 1.into(),
            matrix,
            creation_time: 0,
            modification_time: 0,
            duration: 0,
        }
        .encode(out)?;
        nest(out, b"trak", |out| {
            Tkhd {
                track_id: TRACK,
                enabled: true,
                in_movie: true,
                width: track.size.0.into(),
                height: track.size.1.into(),
                ..Tkhd::default()
            }
            .encode(out)?;
            nest(out, b"mdia", |out| {
                Mdhd {
                    timescale: TIME_SCALE,
                    language: "und".to_owned(),
                    ..Mdhd::default()
                }
                .encode(out)?;
                Hdlr {
                    handler: FourCC::new(b"vide"),
                    name: String::new(),
                }
                .encode(out)?;
                nest(out, b"minf", |out| {
                    Vmhd::default().encode(out)?;
                    Dinf {
                        dref: Dref {
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    }
                    .encode(out)?;
                    nest(out, b"stbl", |out| {
                        out.extend_from_slice(&track.sample_description);
                        Stts::default().encode(out)?;
                        Stsc::default().encode(out)?;
                        Stsz::default().encode(out)?;
                        Stco::default().encode(out)
                    })
                })
            })
        })?;
        nest(out, b"mvex", |out| {
            Trex {
                track_id: TRACK,
                default_sample_description_index: 1,
                ..Trex::default()
            }
            .encode(out)
        })
    })?;
    Ok(out.into())
}

/// Returns one fragment: `moof` and `mdat`. `sequence` counts fragments from 1.
pub(crate) fn fragment(sequence: u32, samples: &[FragmentSample]) -> Result<Bytes, Error> {
    const SYNC: u32 = 0x0200_0000;
    const NOT_SYNC: u32 = 0x0101_0000;
    let entry = |(index, sample): (usize, &FragmentSample)| {
        let next = samples
            .get(index + 1)
            .map_or(sample.decode_time + 1, |next| next.decode_time);
        TrunEntry {
            duration: u32::try_from(next - sample.decode_time).ok(),
            size: u32::try_from(sample.bytes.len()).ok(),
            flags: Some(if sample.sync { SYNC } else { NOT_SYNC }),
            cts: Some((sample.presentation_time - sample.decode_time) as i64),
        }
    };
    let entries: Vec<TrunEntry> = samples.iter().enumerate().map(entry).collect();
    let head = |data_offset: i32| -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(128 + 16 * samples.len());
        nest(&mut out, b"moof", |out| {
            Mfhd {
                sequence_number: sequence,
            }
            .encode(out)?;
            nest(out, b"traf", |out| {
                Tfhd {
                    track_id: TRACK,
                    default_base_is_moof: true,
                    ..Tfhd::default()
                }
                .encode(out)?;
                Tfdt {
                    base_media_decode_time: samples.first().map_or(0, |s| s.decode_time),
                }
                .encode(out)?;
                Trun {
                    data_offset: Some(data_offset),
                    samples: entries.clone().into(),
                }
                .encode(out)
            })
        })?;
        Ok(out)
    };
    // The data follows the header of `mdat`. The size of `moof` does not depend on the data offset.
    let size = head(0)?.len();
    let moof = head(i32::try_from(size + 8).map_err(|_| Error::InvalidSize)?)?;
    let data: usize = samples.iter().map(|sample| sample.bytes.len()).sum();
    let mut out = BytesMut::with_capacity(size + 8 + data);
    out.extend_from_slice(&moof);
    out.put_u32(u32::try_from(data + 8).map_err(|_| Error::InvalidSize)?);
    out.extend_from_slice(b"mdat");
    for sample in samples {
        out.extend_from_slice(&sample.bytes);
    }
    Ok(out.freeze())
}

/// Writes a box that contains other boxes.
fn nest(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    inside: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    mp4_atom::BufMut::encode_atom(out, *kind, inside)
}
