//! Servers and programs that tests use if environment variables name these.

/// Returns the value of `variable`, the address of a server or the path of a program. Without a value, returns `None`
/// and prints `without`: what the tests do then.
///
/// # Panics
/// Panics without a value if the environment requires all tests: if `CI` or `VF_TEST_REQUIRE_ALL` is set. `CI` requires
/// servers only on Linux, since not every server has a package for other systems.
#[track_caller]
pub(crate) fn named(variable: &str, without: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let is_set = |name| std::env::var_os(name).is_some();
    let is_program = variable == "VF_TEST_FFMPEG";
    let is_required =
        is_set("VF_TEST_REQUIRE_ALL") || is_set("CI") && (is_program || cfg!(target_os = "linux"));
    assert!(
        value.is_some() || !is_required,
        "{variable} has to be set when CI or VF_TEST_REQUIRE_ALL is set"
    );
    if value.is_none() {
        eprintln!("{variable} is not set: {without}");
    }
    value
}
