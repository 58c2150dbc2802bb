//! Hostile streams of pictures: no panic, the same pictures for pieces of any size, and only bytes of the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::extract::PictureFormat;
use videoframes_core::fuzzing::pictures;

fuzz_target!(|data: &[u8]| {
    let Some((&[format, step], stream)) = data.split_first_chunk() else {
        return;
    };
    let format = [
        PictureFormat::Jpg,
        PictureFormat::Png,
        PictureFormat::Webp,
        PictureFormat::Avif,
    ][usize::from(format) % 4];
    let whole = pictures(stream, format, stream.len());
    assert_eq!(whole, pictures(stream, format, 1 + usize::from(step)));
    if format != PictureFormat::Avif {
        let mut rest = stream;
        for (picture, _, _) in whole {
            rest = rest.strip_prefix(&picture[..]).expect("the bytes of the stream");
        }
    }
});
