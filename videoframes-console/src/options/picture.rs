//! Options for format, size and processing of pictures.

use clap::Args;
use videoframes_core::extract::{
    BurnIn, Crop, Deinterlace, EmbeddedMetadata, PictureFormat, PictureOptions, PixelFormat, Quality, Tonemap,
};

use super::select::optional;
use super::{Choice, choice};
use crate::Failure;
use crate::exit::USAGE;

const FORMATS: &[Choice<PictureFormat>] = &[
    ("jpg", &["jpeg"], PictureFormat::Jpg),
    ("png", &[], PictureFormat::Png),
    ("webp", &[], PictureFormat::Webp),
    ("avif", &[], PictureFormat::Avif),
    ("raw", &[], PictureFormat::Raw),
    ("npy", &[], PictureFormat::Npy),
];
const PIXELS: &[Choice<PixelFormat>] = &[
    ("rgb24", &[], PixelFormat::Rgb24),
    ("gray8", &["gray"], PixelFormat::Gray8),
    ("yuv420p", &[], PixelFormat::Yuv420p),
    ("rgb48", &["rgb48le"], PixelFormat::Rgb48),
    ("gray16", &["gray16le"], PixelFormat::Gray16),
];
const DEINTERLACE: &[Choice<Deinterlace>] = &[
    ("auto", &[], Deinterlace::Auto),
    ("on", &[], Deinterlace::On),
    ("off", &[], Deinterlace::Off),
];
const BURN_IN: &[Choice<BurnIn>] = &[("time", &[], BurnIn::Time)];
const TONEMAP: &[Choice<Tonemap>] = &[("auto", &[], Tonemap::Auto), ("off", &[], Tonemap::Off)];

/// Options for pictures.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// Picture format [default: the extension of -o, else jpg]
    #[arg(short, long, value_name = "FORMAT", value_parser = choice(FORMATS), ignore_case = true)]
    pub format: Option<PictureFormat>,
    /// Quality of jpg, webp and avif, 1 to 100 [default: 90]
    #[arg(short, long, value_name = "Q")]
    pub quality: Option<Quality>,
    /// Pixel format of raw and npy, which are not encoded [default: rgb24]
    #[arg(long, value_name = "FORMAT", value_parser = choice(PIXELS), ignore_case = true)]
    pub pixels: Option<PixelFormat>,
    /// Maximum width; pictures keep their aspect ratio and are never enlarged
    #[arg(short = 'W', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub width: Option<u32>,
    /// Maximum height
    #[arg(short = 'H', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub height: Option<u32>,
    /// Maximum width and height
    #[arg(long, value_name = "PX", conflicts_with_all = ["width", "height"], value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub max_dimension: Option<u32>,
    /// Embed source, position, time of recording and camera as Exif and XMP (basic), or also the location of the camera (gps)
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "basic", value_parser = metadata)]
    pub metadata: Option<EmbeddedMetadata>,
    /// Draw the time of the frame into the lower left corner of the picture
    #[arg(long, value_name = "WHAT", value_parser = choice(BURN_IN), ignore_case = true)]
    pub burn_in: Option<BurnIn>,
    /// Options for the processing.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
}

/// Options for the processing of frames.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Pictures")]
pub struct AppearanceArgs {
    /// Keep a rectangle of the upright picture: WxH+X+Y in pixels, WxH in the centre, or an aspect ratio such as 16:9
    #[arg(long, value_name = "RECT")]
    pub crop: Option<Crop>,
    /// Do not apply the rotation of the video
    #[arg(long)]
    pub no_rotate: bool,
    /// Option for deinterlacing.
    #[command(flatten)]
    pub deinterlace: DeinterlaceArgs,
    /// Convert HDR videos to SDR (auto), or never (off)
    #[arg(long, default_value = "auto", value_name = "WHEN", value_parser = choice(TONEMAP), ignore_case = true)]
    pub tonemap: Tonemap,
}

/// `--deinterlace`.
#[derive(Debug, Clone, Copy, Args)]
pub struct DeinterlaceArgs {
    /// Deinterlace interlaced frames (auto), all frames (on) or none (off)
    #[arg(long, default_value = "auto", value_name = "WHEN", value_parser = choice(DEINTERLACE), ignore_case = true)]
    pub deinterlace: Deinterlace,
}

fn metadata(text: &str) -> Result<EmbeddedMetadata, String> {
    optional("--metadata", text)
}

impl AppearanceArgs {
    /// Returns `default` with this processing.
    #[must_use]
    pub fn over(&self, default: PictureOptions) -> PictureOptions {
        let mut options = default
            .rotate(!self.no_rotate)
            .deinterlace(self.deinterlace.deinterlace)
            .tonemap(self.tonemap);
        options.crop = self.crop;
        options
    }
}

impl PictureArgs {
    /// Returns the picture options. The format is that of `--format`, else `implied`, else the default.
    ///
    /// # Errors
    /// Fails for a quality of a lossless format, a pixel format of an encoded format, a burned-in time in an uncompressed
    /// format, and metadata in a format that holds none.
    pub fn options(&self, implied: Option<PictureFormat>) -> Result<PictureOptions, Failure> {
        let format = self.format.or(implied).unwrap_or_default();
        let name = format.extension();
        if self.quality.is_some() && !format.is_lossy() {
            let text = format!("--quality has no effect on {name}, which is lossless");
            return Err(Failure::new(USAGE, text).hint("omit --quality, or use --format jpg, webp or avif"));
        }
        if self.pixels.is_some() && !format.is_uncompressed() {
            let text = format!("--pixels has no effect on {name}, which is encoded");
            return Err(Failure::new(USAGE, text).hint("omit --pixels, or use --format raw or npy"));
        }
        if self.burn_in.is_some() && format.is_uncompressed() {
            let text = format!("--burn-in has no effect on {name}, which is not encoded");
            return Err(
                Failure::new(USAGE, text).hint("omit --burn-in, or use --format jpg, png, webp or avif")
            );
        }
        if self.metadata.is_some() && !format.holds_metadata() {
            let text = format!("--metadata has no effect on {name}, which has no Exif or XMP");
            return Err(Failure::new(USAGE, text).hint("omit --metadata, or use --format jpg, png or webp"));
        }
        let mut options = self.appearance.over(
            PictureOptions::default()
                .format(format)
                .quality(self.quality.unwrap_or_default())
                .pixels(self.pixels.unwrap_or_default())
                .metadata(self.metadata.unwrap_or_default()),
        );
        options.max_width = self.width.or(self.max_dimension);
        options.max_height = self.height.or(self.max_dimension);
        options.burn_in = self.burn_in;
        Ok(options)
    }
}
