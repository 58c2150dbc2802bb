//! Values out of a fixed list, which help shows and shells complete.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A value that an option takes: its name, other spellings that are not shown, and the value.
pub type Choice<T> = (&'static str, &'static [&'static str], T);

/// Returns a parser of one of `choices`. Use it with `ignore_case = true`.
pub fn choice<T: Copy + Send + Sync + 'static>(
    choices: &'static [Choice<T>],
) -> impl TypedValueParser<Value = T> {
    let names = choices
        .iter()
        .map(|(name, others, _)| PossibleValue::new(*name).aliases(others.iter().copied()));
    PossibleValuesParser::new(names).try_map(|text| {
        let is_meant = |name: &str| name.eq_ignore_ascii_case(&text);
        let found = choices
            .iter()
            .find(|(name, others, _)| is_meant(name) || others.iter().any(|other| is_meant(other)));
        found.map(|(_, _, value)| *value).ok_or("is not a known value")
    })
}
