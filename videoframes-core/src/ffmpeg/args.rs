//! What the command lines of all children have in common.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::LazyLock;

use crate::limits::Limits;
use crate::video::VideoInfo;

/// Demuxers that may open an input: containers that hold their media themselves. Playlists, concat
/// scripts, subtitle formats and image sequences can name other files and are not on the list.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,nut,ivf,\
                       obu,h264,hevc,vvc,m4v,mjpeg,gif,dv,rm,wtv,yuv4mpegpipe,apng,webp_anim,mp3,wav,\
                       flac,aac,aiff,w64,caf";

/// Names under which `showinfo` filters report: the frames that are decoded, the picked ones, and those
/// that are encoded as a video again. The metadata of a source is in the log too, printed as it is, so that
/// no source may know these names.
pub(crate) static DECODED: LazyLock<String> = LazyLock::new(|| secret("decoded"));
pub(crate) static PICKED: LazyLock<String> = LazyLock::new(|| secret("picked"));
pub(crate) static ENCODED: LazyLock<String> = LazyLock::new(|| secret("encoded"));
/// The name under which a comparison reports.
pub(crate) static COMPARED: LazyLock<String> = LazyLock::new(|| secret("compared"));
/// The name of an empty input that is opened after all others: its line ends the part of the log in which
/// ffmpeg prints what the inputs say of themselves.
pub(crate) static OPENED: LazyLock<String> = LazyLock::new(|| secret("opened"));

/// What is said, wherever in a line, of a sound that pauses for longer than can be filled.
pub(crate) static PAUSED: LazyLock<String> = LazyLock::new(|| secret("paused"));

/// A name with a random part, the same for the whole life of this process.
fn secret(name: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{name}{:016x}{:016x}", random(), random())
}

/// An empty input, whose line in the log no source can imitate.
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

/// Keeps the graphs of a command as they are, whatever becomes of the size of frames.
pub(crate) const STEADY: [&str; 2] = ["-reinit_filter", "0"];

/// Leaves pictures as they are stored.
pub(crate) const NO_AUTOROTATE: &str = "-noautorotate";

/// Decoders that may run: of video and audio that people store in these containers, and of subtitles, which
/// ffprobe opens too. Others, such as those of games, are out of reach of an input.
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

/// A file that a child opens, and which video of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    pub(crate) path: &'a Path,
    /// Number of the video stream among all streams.
    pub(crate) stream: u32,
    /// Pixels of a frame beyond which the decoder refuses it.
    pub(crate) pixels: u64,
}

impl<'a> Opened<'a> {
    /// The stream of `video`, of pictures within `limits`.
    pub(crate) fn new(path: &'a Path, video: &VideoInfo, limits: &Limits) -> Self {
        Self {
            path,
            stream: video.stream,
            pixels: limits.pixels,
        }
    }

    /// Options before every input: nothing but this file, by a listed demuxer and listed decoders.
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

    /// The video stream of a command's first input, for `-map` and filter graphs.
    pub(crate) fn video(&self) -> String {
        format!("0:{}", self.stream)
    }
}

/// Options before an input that bound what its decoders do.
pub(crate) fn bounds(pixels: u64) -> [OsString; 4] {
    // Decoders also check sizes that they have rounded up to whole blocks.
    let blocks = (pixels / 8).saturating_add(1 << 16);
    let pixels = pixels.saturating_add(blocks).min(i64::MAX as u64).to_string();
    ["-codec_whitelist", DECODERS, "-max_pixels", &pixels].map(OsString::from)
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

/// A decode of one video stream of a source (`0:1`), and of nothing else.
pub(crate) fn decode(source: Vec<OsString>, video: &str) -> Vec<OsString> {
    let mut args = head();
    args.push(NO_AUTOROTATE.into());
    args.extend(source);
    args.extend(marker());
    args.extend(["-map", video, "-an", "-sn", "-dn"].map(OsString::from));
    args
}

/// Reads the container's streams, as JSON.
pub(crate) fn probe_streams(path: &Path, limits: &Limits) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-show_streams", "-show_format", "-of", "json"]
        .map(OsString::from)
        .into();
    let opened = Opened {
        path,
        stream: 0,
        pixels: limits.pixels,
    };
    args.extend(opened.input());
    args
}

/// Reads what the first frame of the video says beside its picture, as JSON.
pub(crate) fn probe_first_frame(opened: Opened<'_>) -> Vec<OsString> {
    let first = ["-read_intervals", "%+#1", "-show_frames"];
    let entries = ["-show_entries", "frame=side_data_list", "-of", "json"];
    probe_stream(opened, first.into_iter().chain(entries))
}

/// Reads the flags of the video stream's first packet.
pub(crate) fn probe_first_packet(opened: Opened<'_>) -> Vec<OsString> {
    let first = ["-read_intervals", "%+#1"];
    let entries = ["-show_entries", "packet=flags", "-of", "csv=p=0"];
    probe_stream(opened, first.into_iter().chain(entries))
}

/// Reads the video stream's packets, a line each: `pts,duration,flags`.
pub(crate) fn probe_packets(opened: Opened<'_>) -> Vec<OsString> {
    let entries = ["-show_entries", "packet=pts,duration,flags", "-of", "csv=p=0"];
    probe_stream(opened, entries)
}

fn probe_stream<'a>(opened: Opened<'_>, what: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-select_streams"].map(OsString::from).into();
    args.push(opened.stream.to_string().into());
    args.extend(what.into_iter().map(OsString::from));
    args.extend(opened.input());
    args
}
