//! Option values from a fixed list, shown in help and completed by shells.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A possible value of an option: name, hidden aliases and value.
pub type Choice<T> = (&'static str, &'static [&'static str], T);

/// Returns a parser for one of `choices`. Use the parser with `ignore_case = true`.
pub fn choice<T: Copy + Send + Sync + 'static>(
    choices: &'static [Choice<T>],
) -> impl TypedValueParser<Value = T> {
    let names = choices
        .iter()
        .map(|(name, others, _)| PossibleValue::new(*name).aliases(others.iter().copied()));
    PossibleValuesParser::new(names).try_map(|text| {
        let matches = |name: &str| name.eq_ignore_ascii_case(&text);
        let found = choices
            .iter()
            .find(|(name, others, _)| matches(name) || others.iter().any(|other| matches(other)));
        found.map(|(_, _, value)| *value).ok_or("is not a known value")
    })
}
