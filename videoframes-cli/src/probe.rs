//! `vf probe`.

use videoframes_console::{Failure, cancelled_by_signals, exit, print, print_json};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{Pipeline, Probe};
use videoframes_core::text::printable;
use videoframes_core::units::approximate_seconds;
use videoframes_core::video::{VideoInfo, VideoStream};

use crate::args::{ProbeArgs, addresses};
use crate::extract::PATIENCE;
use crate::failure;

pub(crate) async fn run(args: ProbeArgs) -> Result<u8, Failure> {
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let mut limits = args.limit.over(Limits::default());
    let source = args
        .file
        .open(&mut limits, addresses(args.network), &cancel)
        .await?
        .source();
    let extractor = args.ffmpeg.extractor();
    let size = source.len();
    let probe = Pipeline::new(extractor)
        .limits(limits)
        .cancel(cancel)
        .probe(source, args.stream.stream)
        .await
        .map_err(|error| failure::of(&error, &args.file))?;
    let description = Description {
        file: args.file.to_string(),
        size,
        probe,
    };
    let printed = match args.json.json {
        true => print_json(&description.json()),
        false => print(&description.text()),
    };
    printed.map(|_| exit::SUCCESS)
}

/// A file and its video.
struct Description {
    file: String,
    /// Size of the file in bytes.
    size: u64,
    probe: Probe,
}

impl Description {
    /// Returns the number of frames, if known.
    fn frames(&self) -> Option<usize> {
        let timeline = self.probe.timeline.as_ref();
        timeline.map(|timeline| timeline.pts().len())
    }

    /// Returns the duration in seconds, if known.
    fn duration(&self) -> Option<f64> {
        let timeline = self.probe.timeline.as_ref();
        timeline.map(|timeline| approximate_seconds(timeline.duration()))
    }

    fn json(&self) -> serde_json::Value {
        let video = &self.probe.video;
        let (width, height) = video.display_size(true);
        serde_json::json!({
            "file": self.file,
            "size": self.size,
            "container": video.container,
            "stream": video.stream,
            "streams": self.probe.streams.iter().map(listed).collect::<Vec<_>>(),
            "codec": video.codec,
            "width": video.width,
            "height": video.height,
            "display_width": width,
            "display_height": height,
            "sample_aspect_ratio": video.sample_aspect.to_string(),
            "rotation": video.orientation.degrees(),
            "pixel_format": video.pixel_format,
            "colour": {
                "matrix": video.colour.matrix,
                "transfer": video.colour.transfer,
                "primaries": video.colour.primaries,
                "full_range": video.colour.full_range,
            },
            "interlaced": video.interlaced,
            "hdr": video.colour.is_hdr(),
            "frame_rate": video.frame_rate.map(|r| r.to_string()),
            "time_base": video.time_base.to_string(),
            "frames": self.frames(),
            "first_pts": self.probe.timeline.as_ref().map(|t| t.pts()[0]),
            "duration_s": self.duration(),
        })
    }

    fn text(&self) -> String {
        let video = &self.probe.video;
        let (width, height) = video.display_size(true);
        let rate = video
            .frame_rate
            .map_or("unknown".to_owned(), |r| format!("{:.3}", approximate_seconds(r)));
        let streams: String = match self.probe.streams.as_slice() {
            [] | [_] => String::new(),
            streams => streams.iter().map(|stream| line(stream, video.stream)).collect(),
        };
        format!(
            "file       {}\nsize       {}\ncontainer  {}\nvideo      {}, {width}×{height}, {}{}\n\
             frames     {}, about {rate} a second\nduration   {:.3} s\n{streams}",
            printable(&self.file),
            indicatif::HumanBytes(self.size),
            printable(&video.container),
            printable(&video.codec),
            video.pixel_format,
            notes(video),
            self.frames().unwrap_or(0),
            self.duration().unwrap_or(0.0),
        )
    }
}

/// Returns the properties of a video that few videos have.
fn notes(video: &VideoInfo) -> String {
    let mut notes = Vec::new();
    if video.orientation.degrees() != 0 {
        notes.push(format!(
            "stored {}×{}, rotated by {}°",
            video.width,
            video.height,
            video.orientation.degrees()
        ));
    }
    if video.interlaced {
        notes.push("interlaced".to_owned());
    }
    if video.colour.is_hdr() {
        notes.push("HDR".to_owned());
    }
    if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join(", "))
    }
}

/// Returns a video stream as JSON.
fn listed(stream: &VideoStream) -> serde_json::Value {
    serde_json::json!({
        "index": stream.index,
        "id": stream.id.map(|id| format!("{id:#x}")),
        "codec": stream.codec,
        "width": stream.width,
        "height": stream.height,
        "frames": stream.frames,
        "default": stream.default,
        "disabled": stream.disabled,
        "attached": stream.attached,
    })
}

/// Returns a line that describes a video stream; `used` is the index of the selected stream.
fn line(stream: &VideoStream, used: u32) -> String {
    let marks = [
        (stream.index == used, "used"),
        (stream.default, "default"),
        (stream.disabled, "disabled"),
        (stream.attached, "attached picture"),
    ];
    let marks: Vec<&str> = marks
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, mark)| mark)
        .collect();
    format!(
        "stream {:<3} {}{}, {}×{}{}{}\n",
        stream.index,
        stream.id.map(|id| format!("{id:#x}, ")).unwrap_or_default(),
        stream.codec,
        stream.width,
        stream.height,
        stream
            .frames
            .map(|frames| format!(", {frames} frames"))
            .unwrap_or_default(),
        match marks.is_empty() {
            true => String::new(),
            false => format!(" ({})", marks.join(", ")),
        },
    )
}
