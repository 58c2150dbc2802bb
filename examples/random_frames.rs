//! Loads 32 random frames of a video into one array of RGB: `cargo run --example random_frames -- video.mp4`.

use ndarray::Array4;
use videoframes_core::Pipeline;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::FramesRequest;
use videoframes_core::select::Selection;
use videoframes_core::source::FileSource;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: random_frames VIDEO")?;
    let count = 32.try_into()?;
    let request = FramesRequest::new(Selection::Random { count, seed: 0 }).max_width(224);
    let frames =
        Pipeline::new(FfmpegExtractor::default()).frames_blocking(FileSource::open(path)?, &request)?;
    let (width, height) = (frames.size().0 as usize, frames.size().1 as usize);
    let mut pixels = Vec::with_capacity(frames.total() * height * width * 3);
    for frame in frames {
        pixels.extend_from_slice(&frame?.data);
    }
    let shape = (pixels.len() / (height * width * 3), height, width, 3);
    let batch = Array4::from_shape_vec(shape, pixels).map_err(|error| error.to_string())?;
    println!("{:?}, mean {:?}", batch.shape(), batch.mapv(f32::from).mean());
    Ok(())
}
