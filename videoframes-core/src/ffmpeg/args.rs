//! What the command lines of all children have in common.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::LazyLock;

/// Demuxers that may open an input: containers that hold their media themselves. Playlists, concat
/// scripts, subtitle formats and image sequences can name other files and are not on the list.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,nut,ivf,\
                       obu,h264,hevc,vvc,m4v,mjpeg,gif,dv,rm,wtv,yuv4mpegpipe,mp3,wav,flac,aac,aiff,w64,caf";

/// Names under which `showinfo` filters report: the frames that are decoded, the picked ones, and those
/// that are encoded as a video again.
pub(crate) const DECODED: &str = "decoded";
pub(crate) const PICKED: &str = "picked";
pub(crate) const ENCODED: &str = "encoded";
/// The name under which a comparison reports.
pub(crate) const COMPARED: &str = "compared";

/// What is said, wherever in a line, of a sound that pauses for longer than can be filled. No source knows it,
/// whose own words are in the log too.
pub(crate) static PAUSED: LazyLock<String> = LazyLock::new(|| {
    let random = RandomState::new().build_hasher().finish();
    format!("videoframes.paused.{random:016x}")
});

/// Keeps the graphs of a command as they are, whatever becomes of the size of frames.
pub(crate) const STEADY: [&str; 2] = ["-reinit_filter", "0"];

/// Leaves pictures as they are stored.
pub(crate) const NO_AUTOROTATE: &str = "-noautorotate";

/// Options before every input: nothing but this file, by a listed demuxer.
pub(crate) fn input(path: &Path) -> Vec<OsString> {
    let mut url = OsString::from("file:");
    url.push(path);
    let mut args: Vec<OsString> = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS]
        .map(OsString::from)
        .into();
    args.extend([OsString::from("-i"), url]);
    args
}

/// What every command has in common, before its inputs. The banner is not hidden: it tells the version.
pub(crate) fn head() -> Vec<OsString> {
    [
        "-nostdin",
        "-nostats",
        "-loglevel",
        "repeat+level+info",
        "-max_error_rate",
        "1",
        "-copyts",
    ]
    .map(OsString::from)
    .into()
}

/// A decode of a source's video, and of nothing else.
pub(crate) fn decode(source: Vec<OsString>) -> Vec<OsString> {
    let mut args = head();
    args.push(NO_AUTOROTATE.into());
    args.extend(source);
    args.extend(["-map", "0:V:0", "-an", "-sn", "-dn"].map(OsString::from));
    args
}

/// Reads the container's streams, as JSON.
pub(crate) fn probe_streams(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-show_streams", "-show_format", "-of", "json"]
        .map(OsString::from)
        .into();
    args.extend(input(path));
    args
}

/// Reads what the first frame of the video says beside its picture, as JSON.
pub(crate) fn probe_first_frame(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-v",
        "error",
        "-select_streams",
        "V:0",
        "-read_intervals",
        "%+#1",
        "-show_frames",
        "-show_entries",
        "frame=side_data_list",
        "-of",
        "json",
    ]
    .map(OsString::from)
    .into();
    args.extend(input(path));
    args
}

/// Reads the video stream's packets, a line each: `pts,duration,flags`.
pub(crate) fn probe_packets(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-v",
        "error",
        "-select_streams",
        "V:0",
        "-show_entries",
        "packet=pts,duration,flags",
        "-of",
        "csv=p=0",
    ]
    .map(OsString::from)
    .into();
    args.extend(input(path));
    args
}
