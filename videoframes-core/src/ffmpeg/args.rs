//! Arguments that the command lines of all child processes share.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::LazyLock;

use crate::limits::Limits;
use crate::video::VideoInfo;

/// Demuxers that may open an input: self-contained formats only. Playlists, concat scripts, subtitle formats and
/// image sequences can refer to other files and are therefore not listed.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,nut,ivf,\
                       obu,h264,hevc,vvc,m4v,mjpeg,gif,dv,rm,wtv,yuv4mpegpipe,apng,webp_anim,mp3,wav,\
                       flac,aac,aiff,w64,caf";

/// Instance names of the `showinfo` filters that report decoded frames, picked frames and frames to be encoded as
/// a video. The log also contains the metadata of the source verbatim, so a source must not be able to guess
/// these names.
pub(crate) static DECODED: LazyLock<String> = LazyLock::new(|| secret("decoded"));
pub(crate) static PICKED: LazyLock<String> = LazyLock::new(|| secret("picked"));
pub(crate) static ENCODED: LazyLock<String> = LazyLock::new(|| secret("encoded"));
/// Instance name of the filter that compares two videos.
pub(crate) static COMPARED: LazyLock<String> = LazyLock::new(|| secret("compared"));
/// Name of an empty input that is opened after all other inputs. The line that mentions this name ends the part
/// of the log in which ffmpeg prints the metadata of the inputs.
pub(crate) static OPENED: LazyLock<String> = LazyLock::new(|| secret("opened"));

/// Metadata key that marks a pause in the audio that is too long to be filled, anywhere in a line of the log.
pub(crate) static PAUSED: LazyLock<String> = LazyLock::new(|| secret("paused"));

/// Returns `name` with a random suffix, which stays the same for the lifetime of this process.
fn secret(name: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{name}{:016x}{:016x}", random(), random())
}

/// Returns the arguments of an empty input. No source can forge the line that the log contains for this input.
pub(crate) fn marker() -> Vec<OsString> {
    let url = format!("data:,{}", *OPENED);
    [
        "-protocol_whitelist",
        "data",
        "-format_whitelist",
        "ffmetadata",
        "-f",
        "ffmetadata",
        "-i",
        &url,
    ]
    .map(OsString::from)
    .into()
}

/// Keeps the filter graphs of a command when the size of frames changes.
pub(crate) const STEADY: [&str; 2] = ["-reinit_filter", "0"];

/// Disables the rotation of decoded frames.
pub(crate) const NO_AUTOROTATE: &str = "-noautorotate";

/// Decoders that may run: common codecs of video and audio in these containers, and subtitle codecs, which
/// ffprobe opens too. No input can reach other decoders, such as those for games.
const DECODERS: &str = "h264,hevc,vvc,av1,libdav1d,libaom-av1,vp8,vp9,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpegvideo,\
    mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,wmv1,wmv2,wmv3,vc1,h261,h263,h263i,h263p,flv,vp3,theora,vp6,vp6a,vp6f,vp7,\
    mjpeg,mjpegb,jpeg2000,libopenjpeg,jpegls,gif,png,apng,webp,webp_anim,tiff,prores,prores_raw,dnxhd,cfhd,apv,\
    dvvideo,rawvideo,v210,v210x,v308,v408,v410,r10k,r210,yuv4,ayuv,avui,012v,huffyuv,ffvhuff,ffv1,utvideo,lagarith,\
    magicyuv,hap,hqx,hq_hqa,dirac,snow,svq1,svq3,cinepak,indeo2,indeo3,indeo4,indeo5,qtrle,rpza,smc,8bps,msrle,\
    msvideo1,rv10,rv20,rv30,rv40,rv60,tscc,tscc2,zmbv,flashsv,flashsv2,cavs,speedhq,asv1,asv2,mszh,zlib,cljr,sp5x,\
    aac,aac_fixed,aac_latm,ac3,ac3_fixed,eac3,dca,truehd,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,mp3adu,\
    mp3adufloat,mp3on4,mp3on4float,flac,alac,als,ape,tta,tak,wavpack,opus,libopus,vorbis,libvorbis,speex,libspeex,\
    wmav1,wmav2,wmapro,wmalossless,wmavoice,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,evrc,qcelp,gsm,gsm_ms,\
    libgsm,libgsm_ms,real_144,real_288,cook,sipr,ralf,atrac1,atrac3,atrac3al,atrac3plus,atrac3plusal,atrac9,qdm2,qdmc,\
    mace3,mace6,nellymoser,truespeech,imc,iac,ilbc,g722,g723_1,g726,g726le,g729,dvaudio,s302m,dolby_e,\
    adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,adpcm_g722,adpcm_g726,adpcm_g726le,pcm_alaw,pcm_mulaw,\
    pcm_bluray,pcm_dvd,pcm_lxf,pcm_vidc,pcm_f16le,pcm_f24le,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s8,\
    pcm_s8_planar,pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24daud,pcm_s24le,\
    pcm_s24le_planar,pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_u8,pcm_u16be,pcm_u16le,pcm_u24be,\
    pcm_u24le,pcm_u32be,pcm_u32le,ass,ssa,srt,subrip,mov_text,text,webvtt,dvbsub,dvdsub,pgssub,xsub,cc_dec,microdvd,\
    sami,realtext,stl,subviewer,subviewer1,jacosub,mpl2,pjs,vplayer,libzvbi_teletextdec,libaribb24,libaribcaption";

/// An input file of a child process and the selected video stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    pub(crate) path: &'a Path,
    /// Index of the video stream among all streams of the file.
    pub(crate) stream: u32,
    /// Maximum number of pixels of a frame; the decoder refuses larger frames.
    pub(crate) pixels: u64,
}

impl<'a> Opened<'a> {
    /// Selects the stream of `video`, with the maximum frame size of `limits`.
    pub(crate) fn new(path: &'a Path, video: &VideoInfo, limits: &Limits) -> Self {
        Self {
            path,
            stream: video.stream,
            pixels: limits.pixels,
        }
    }

    /// Returns the options of the input, which allow only this file, the listed demuxers and the listed decoders.
    pub(crate) fn input(&self) -> Vec<OsString> {
        let mut url = OsString::from("file:");
        url.push(self.path);
        let mut args: Vec<OsString> = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS]
            .map(OsString::from)
            .into();
        args.extend(bounds(self.pixels));
        args.extend([OsString::from("-i"), url]);
        args
    }

    /// Returns the specifier of the video stream in the first input of a command, for `-map` and filter graphs.
    pub(crate) fn video(&self) -> String {
        format!("0:{}", self.stream)
    }
}

/// Returns input options that restrict the decoders and the size of frames.
pub(crate) fn bounds(pixels: u64) -> [OsString; 4] {
    // Decoders also check sizes that are rounded up to whole blocks.
    let blocks = (pixels / 8).saturating_add(1 << 16);
    let pixels = pixels.saturating_add(blocks).min(i64::MAX as u64).to_string();
    ["-codec_whitelist", DECODERS, "-max_pixels", &pixels].map(OsString::from)
}

/// Returns the options that every command has before its inputs. The banner is not hidden, since it contains the
/// version.
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

/// Returns the arguments that decode one video stream of a source (`0:1`) and no other stream.
pub(crate) fn decode(source: Vec<OsString>, video: &str) -> Vec<OsString> {
    let mut args = head();
    args.push(NO_AUTOROTATE.into());
    args.extend(source);
    args.extend(marker());
    args.extend(["-map", video, "-an", "-sn", "-dn"].map(OsString::from));
    args
}

/// Returns ffprobe's arguments that print the streams of the container as JSON.
pub(crate) fn probe_streams(path: &Path, limits: &Limits) -> Vec<OsString> {
    probe_container(path, limits, &["-of", "json"])
}

/// Returns ffprobe's arguments that print the packets of all video streams, and then these streams, as JSON with one
/// packet per line.
pub(crate) fn probe_packets(path: &Path, limits: &Limits) -> Vec<OsString> {
    let entries = "packet=stream_index,pts,duration,size,pos,flags";
    let packets = ["-select_streams", "v", "-show_entries", entries];
    probe_container(path, limits, &[&packets[..], &["-of", "json=compact=1"]].concat())
}

/// Returns ffprobe's arguments that print the streams and the format of a container, and what `options` select.
fn probe_container(path: &Path, limits: &Limits, options: &[&str]) -> Vec<OsString> {
    let streams = ["-v", "error", "-show_streams", "-show_format"];
    let mut args: Vec<OsString> = streams.iter().chain(options).map(OsString::from).collect();
    let opened = Opened {
        path,
        stream: 0,
        pixels: limits.pixels,
    };
    args.extend(opened.input());
    args
}

/// Returns ffprobe's arguments that print the side data of the first video frame as JSON.
pub(crate) fn probe_first_frame(opened: Opened<'_>) -> Vec<OsString> {
    let first = ["-read_intervals", "%+#1", "-show_frames"];
    let entries = ["-show_entries", "frame=side_data_list", "-of", "json"];
    probe_stream(opened, first.into_iter().chain(entries))
}

/// Returns ffprobe's arguments that print the flags of the first packet of the video stream.
pub(crate) fn probe_first_packet(opened: Opened<'_>) -> Vec<OsString> {
    let first = ["-read_intervals", "%+#1"];
    let entries = ["-show_entries", "packet=flags", "-of", "csv=p=0"];
    probe_stream(opened, first.into_iter().chain(entries))
}

fn probe_stream<'a>(opened: Opened<'_>, what: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-select_streams"].map(OsString::from).into();
    args.push(opened.stream.to_string().into());
    args.extend(what.into_iter().map(OsString::from));
    args.extend(opened.input());
    args
}
