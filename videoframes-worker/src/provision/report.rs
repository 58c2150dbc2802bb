//! The report on differences between current and desired settings.

use std::fmt::Write;

use videoframes_core::text::printable;

/// Collects and counts differences.
#[derive(Debug)]
pub(super) struct Report {
    check: bool,
    resource: Option<String>,
    text: String,
    differences: usize,
}

/// A setting whose current value differs from the desired value.
#[derive(Debug)]
#[must_use = "a fixed difference must be reported"]
pub(super) struct Difference {
    setting: String,
    have: Option<String>,
    want: Option<String>,
}

impl Report {
    /// Creates a report. With `check`, nothing is changed.
    pub(super) fn new(check: bool) -> Self {
        Self {
            check,
            resource: None,
            text: String::new(),
            differences: 0,
        }
    }

    pub(super) fn is_check(&self) -> bool {
        self.check
    }

    /// Sets the resource to which the next settings belong.
    pub(super) fn set_resource(&mut self, resource: String) {
        self.resource = Some(resource);
    }

    /// Returns the difference to fix, if any. In a check, reports the difference and returns `None`.
    pub(super) fn compare(
        &mut self,
        setting: &str,
        have: Option<&str>,
        want: Option<&str>,
    ) -> Option<Difference> {
        if have == want {
            return None;
        }
        let difference = Difference {
            setting: setting.to_owned(),
            have: have.map(str::to_owned),
            want: want.map(str::to_owned),
        };
        if self.check {
            self.add(&difference);
            return None;
        }
        Some(difference)
    }

    /// Reports a difference that was fixed, or found in a check.
    pub(super) fn add(&mut self, difference: &Difference) {
        self.differences += 1;
        let Difference { setting, have, want } = difference;
        for (sign, value) in [('-', have), ('+', want)] {
            if let Some(value) = value {
                self.line(sign, setting, value);
            }
        }
    }

    /// Reports a setting that the server does not support.
    pub(super) fn unsupported(&mut self, setting: &str) {
        self.line(' ', setting, "not supported by this store");
    }

    /// Reports a setting that is not checked.
    pub(super) fn unchanged(&mut self, setting: &str, why: &str) {
        self.line(' ', setting, &format!("unchanged, {why}"));
    }

    fn line(&mut self, sign: char, setting: &str, value: &str) {
        if let Some(resource) = self.resource.take() {
            let _ = writeln!(self.text, "{resource}");
        }
        let _ = writeln!(self.text, "{sign} {setting}: {}", printable(value));
    }

    /// Returns the lines and the number of differences. If all is `done`, the last line is a summary.
    pub(super) fn finish(mut self, done: bool) -> (String, usize) {
        if !done {
            return (self.text, self.differences);
        }
        let things = match self.differences {
            1 => "1 setting".to_owned(),
            n => format!("{n} settings"),
        };
        let sum = match (self.differences, self.check) {
            (0, _) => "everything is up to date".to_owned(),
            (1, true) => format!("{things} differs"),
            (_, true) => format!("{things} differ"),
            (_, false) => format!("{things} changed"),
        };
        let _ = writeln!(self.text, "{sum}");
        (self.text, self.differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resources_with_differences_are_named() {
        let mut report = Report::new(true);
        report.set_resource("queue a".to_owned());
        assert!(report.compare("long poll", Some("20"), Some("20")).is_none());
        report.set_resource("queue b".to_owned());
        assert!(report.compare("long poll", Some("0"), Some("20")).is_none());
        assert!(report.compare("encryption", None, Some("on")).is_none());
        let (text, differences) = report.finish(true);
        assert_eq!(
            text,
            "queue b\n- long poll: 0\n+ long poll: 20\n+ encryption: on\n2 settings differ\n"
        );
        assert_eq!(differences, 2);
    }

    #[test]
    fn fixed_differences_are_reported() {
        let mut report = Report::new(false);
        report.set_resource("bucket a".to_owned());
        let difference = report.compare("versioning", Some("off"), Some("on"));
        let difference = difference.expect("it differs");
        report.add(&difference);
        assert_eq!(
            report.finish(true).0,
            "bucket a\n- versioning: off\n+ versioning: on\n1 setting changed\n"
        );
    }
}
