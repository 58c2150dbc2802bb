//! XMP (ISO 16684-1): a packet of XML.
//!
//! The position of the frame is the part of the source from which the picture was made: `stRef:fromPart` of an ingredient,
//! with a time specifier in ticks of the stream (XMP Specification Part 2, ResourceRef and Part).

use time::OffsetDateTime;
use xmp_writer::{CustomNamespace, Namespace, XmpWriter};

use super::frame::{FrameMetadata, SOFTWARE};

/// Returns the packet.
pub(super) fn packet(metadata: &FrameMetadata<'_>) -> String {
    let mut writer = XmpWriter::new();
    let source = metadata.source();
    if let Some(source) = &source {
        writer.source(source);
    }
    writer.creator_tool(SOFTWARE);
    if let Some(time) = metadata.recorded() {
        writer
            .element("CreateDate", Namespace::Xmp)
            .value(date(time).as_str());
    }
    let tiff = CustomNamespace::new("TIFF", "tiff", "http://ns.adobe.com/tiff/1.0/");
    for (name, text) in [("Make", metadata.make()), ("Model", metadata.model())] {
        if let Some(text) = text {
            let namespace = Namespace::Custom(Box::new(tiff));
            writer.element(name, namespace).value(text.as_str());
        }
    }
    let mut ingredients = writer.ingredients();
    let mut ingredient = ingredients.add_ref();
    if let Some(source) = &source {
        ingredient.file_path(source);
    }
    ingredient
        .element("fromPart", Namespace::XmpResourceRef)
        .value(part(metadata).as_str());
    drop(ingredient);
    drop(ingredients);
    writer.finish(None)
}

/// Returns the frame as a part of its source: start and duration as counts of ticks with their rate.
fn part(metadata: &FrameMetadata<'_>) -> String {
    let tick = metadata.time_base.seconds(1);
    let count = |ticks: u64| match (ticks, tick.numer()) {
        // A count of zero has no rate.
        (0, _) => "0".to_owned(),
        (ticks, 1) => format!("{ticks}f{}", tick.denom()),
        (ticks, seconds) => format!("{ticks}f{}s{seconds}", tick.denom()),
    };
    let (start, duration) = (count(metadata.ticks), count(metadata.duration));
    format!("/content/visual/video/time:{start}d{duration}")
}

/// Returns a date with milliseconds and zone.
fn date(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond(),
        zone(time)
    )
}

/// Returns the zone of a time, such as `+02:00`.
pub(super) fn zone(time: OffsetDateTime) -> String {
    let offset = time.offset();
    let sign = if offset.is_negative() { '-' } else { '+' };
    let (hours, minutes, _) = offset.as_hms();
    format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
}
