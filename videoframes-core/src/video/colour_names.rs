//! ffmpeg's names for the code points of ITU-T H.273. Returns `None` for an unlisted code point and `Some(None)`
//! for "unspecified".

/// Matrix coefficients, without RGB.
pub(super) fn matrix(code: u16) -> Option<Option<String>> {
    named(match code {
        1 => "bt709",
        2 => return Some(None),
        4 => "fcc",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        9 => "bt2020nc",
        10 => "bt2020c",
        _ => return None,
    })
}

/// Transfer characteristics.
pub(super) fn transfer(code: u16) -> Option<Option<String>> {
    named(match code {
        1 => "bt709",
        2 => return Some(None),
        4 => "bt470m",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        8 => "linear",
        11 => "iec61966-2-4",
        13 => "iec61966-2-1",
        16 => "smpte2084",
        18 => "arib-std-b67",
        _ => return None,
    })
}

/// Colour primaries.
pub(super) fn primaries(code: u16) -> Option<Option<String>> {
    named(match code {
        1 => "bt709",
        2 => return Some(None),
        4 => "bt470m",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        9 => "bt2020",
        11 => "smpte431",
        12 => "smpte432",
        _ => return None,
    })
}

fn named(name: &str) -> Option<Option<String>> {
    Some(Some(name.to_owned()))
}
