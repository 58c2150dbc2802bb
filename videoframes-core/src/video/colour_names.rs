//! ffmpeg's names for the code points of ITU-T H.273.

/// A code point and its name.
type Name = (u16, &'static str);

/// Code point for "unspecified".
const UNSPECIFIED: u16 = 2;

/// Matrix coefficients, without RGB.
const MATRICES: [Name; 7] = [
    (1, "bt709"),
    (4, "fcc"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (7, "smpte240m"),
    (9, "bt2020nc"),
    (10, "bt2020c"),
];

/// Transfer characteristics.
const TRANSFERS: [Name; 10] = [
    (1, "bt709"),
    (4, "bt470m"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (7, "smpte240m"),
    (8, "linear"),
    (11, "iec61966-2-4"),
    (13, "iec61966-2-1"),
    (16, "smpte2084"),
    (18, "arib-std-b67"),
];

/// Colour primaries.
const PRIMARIES: [Name; 8] = [
    (1, "bt709"),
    (4, "bt470m"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (7, "smpte240m"),
    (9, "bt2020"),
    (11, "smpte431"),
    (12, "smpte432"),
];

/// Returns the name of matrix coefficients; `None` for an unlisted code point and `Some(None)` for "unspecified".
pub(super) fn matrix(code: u16) -> Option<Option<String>> {
    name(&MATRICES, code)
}

/// Returns the name of transfer characteristics, as [`matrix`] does.
pub(super) fn transfer(code: u16) -> Option<Option<String>> {
    name(&TRANSFERS, code)
}

/// Returns the name of colour primaries, as [`matrix`] does.
pub(super) fn primaries(code: u16) -> Option<Option<String>> {
    name(&PRIMARIES, code)
}

/// Returns the code point of matrix coefficients.
pub(super) fn matrix_code(name: &str) -> Option<u16> {
    code(&MATRICES, name)
}

/// Returns the code point of transfer characteristics.
pub(super) fn transfer_code(name: &str) -> Option<u16> {
    code(&TRANSFERS, name)
}

/// Returns the code point of colour primaries.
pub(super) fn primaries_code(name: &str) -> Option<u16> {
    code(&PRIMARIES, name)
}

fn name(names: &[Name], code: u16) -> Option<Option<String>> {
    if code == UNSPECIFIED {
        return Some(None);
    }
    let (_, name) = names.iter().find(|(known, _)| *known == code)?;
    Some(Some((*name).to_owned()))
}

fn code(names: &[Name], name: &str) -> Option<u16> {
    names
        .iter()
        .find(|(_, known)| *known == name)
        .map(|&(code, _)| code)
}
