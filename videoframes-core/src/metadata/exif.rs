//! Exif 2.32 (CIPA DC-008-2019): a block in the format of TIFF.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Context, Field, In, Rational as Ratio, Tag, Value};
use time::OffsetDateTime;

use super::frame::{FrameMetadata, SOFTWARE};
use crate::units::Rational;
use crate::video::Location;

/// Name of the document from which a picture was made (TIFF 6.0, section 12).
const DOCUMENT_NAME: Tag = Tag(Context::Tiff, 0x010d);
/// Number of a picture in a sequence (TIFF/EP, ISO 12234-2).
const IMAGE_NUMBER: Tag = Tag(Context::Tiff, 0x9211);
/// Fractions of a second of an arc in an angle.
const ARC_SECOND: u32 = 10_000;

/// Returns the block.
pub(super) fn block(metadata: &FrameMetadata<'_>) -> Result<Vec<u8>, exif::Error> {
    let mut fields: Vec<Field> = Vec::new();
    let mut put = |tag, value| {
        fields.push(Field {
            tag,
            ifd_num: In::PRIMARY,
            value,
        });
    };
    let texts = [
        (DOCUMENT_NAME, metadata.source()),
        (Tag::Make, metadata.make()),
        (Tag::Model, metadata.model()),
        (Tag::Software, Some(SOFTWARE.to_owned())),
    ];
    for (tag, text) in texts {
        // Fields of Exif have ASCII only. XMP has the other texts.
        if let Some(text) = text.filter(|text| text.is_ascii()) {
            put(tag, ascii(&text));
        }
    }
    put(Tag::ExifVersion, Value::Undefined(b"0232".to_vec(), 0));
    if let Some(time) = metadata.recorded() {
        for (tag, text) in times(time) {
            put(tag, ascii(&text));
        }
    }
    if let Some(number) = metadata.frame.and_then(|frame| u32::try_from(frame).ok()) {
        put(IMAGE_NUMBER, Value::Long(vec![number]));
    }
    if let Some(location) = metadata.location() {
        for (tag, value) in gps(location) {
            put(tag, value);
        }
    }
    if let Some((width, height)) = metadata.jpeg {
        for (tag, value) in required(width, height) {
            put(tag, value);
        }
    }
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut block = Cursor::new(Vec::new());
    writer.write(&mut block, false)?;
    Ok(block.into_inner())
}

/// Returns the fields that a JPEG must have: its structure, an unknown resolution, and the colours of displays.
fn required(width: u32, height: u32) -> [(Tag, Value); 9] {
    let resolution = Value::Rational(vec![Ratio { num: 72, denom: 1 }]);
    [
        (Tag::XResolution, resolution.clone()),
        (Tag::YResolution, resolution),
        (Tag::ResolutionUnit, Value::Short(vec![2])),
        (Tag::YCbCrPositioning, Value::Short(vec![1])),
        (
            Tag::ComponentsConfiguration,
            Value::Undefined(vec![1, 2, 3, 0], 0),
        ),
        (Tag::FlashpixVersion, Value::Undefined(b"0100".to_vec(), 0)),
        (Tag::ColorSpace, Value::Short(vec![1])),
        (Tag::PixelXDimension, Value::Long(vec![width])),
        (Tag::PixelYDimension, Value::Long(vec![height])),
    ]
}

fn ascii(text: &str) -> Value {
    Value::Ascii(vec![text.as_bytes().to_vec()])
}

/// Returns date and time, milliseconds, and the zone.
fn times(time: OffsetDateTime) -> [(Tag, String); 3] {
    let (date, clock) = (time.date(), time.time());
    let text = format!(
        "{:04}:{:02}:{:02} {:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    );
    [
        (Tag::DateTimeOriginal, text),
        (Tag::SubSecTimeOriginal, format!("{:03}", clock.millisecond())),
        (Tag::OffsetTimeOriginal, super::xmp::zone(time)),
    ]
}

fn gps(location: &Location) -> Vec<(Tag, Value)> {
    let zero = Rational::from_integer(0);
    let reference = |value: Rational, positive: &str, negative: &str| {
        ascii(if value < zero { negative } else { positive })
    };
    let mut fields = vec![
        (Tag::GPSVersionID, Value::Byte(vec![2, 3, 0, 0])),
        (Tag::GPSLatitudeRef, reference(location.latitude, "N", "S")),
        (Tag::GPSLatitude, angle(location.latitude)),
        (Tag::GPSLongitudeRef, reference(location.longitude, "E", "W")),
        (Tag::GPSLongitude, angle(location.longitude)),
    ];
    if let Some(altitude) = location.altitude {
        let (num, denom) = (part(magnitude(altitude, 1000)), 1000);
        fields.push((Tag::GPSAltitudeRef, Value::Byte(vec![u8::from(altitude < zero)])));
        fields.push((Tag::GPSAltitude, Value::Rational(vec![Ratio { num, denom }])));
    }
    fields
}

/// Returns degrees, minutes and seconds.
fn angle(degrees: Rational) -> Value {
    let minute = 60 * u64::from(ARC_SECOND);
    let all = magnitude(degrees, 60 * minute);
    let whole = |value| Ratio {
        num: part(value),
        denom: 1,
    };
    let minutes = all / minute;
    Value::Rational(vec![
        whole(minutes / 60),
        whole(minutes % 60),
        Ratio {
            num: part(all % minute),
            denom: ARC_SECOND,
        },
    ])
}

/// Returns the absolute value in units of `1 / per`, rounded to the nearest.
fn magnitude(value: Rational, per: u64) -> u64 {
    let positive = if value < Rational::from_integer(0) {
        -value
    } else {
        value
    };
    let scaled = (positive * Rational::from_integer(per.into())).round();
    u64::try_from(scaled.to_integer()).unwrap_or(u64::MAX)
}

fn part(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
