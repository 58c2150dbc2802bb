//! What is there and what is wanted, as lines.

use std::fmt::Write;

use videoframes_core::text::printable;

/// Says what differs, and counts it.
#[derive(Debug)]
pub(super) struct Report {
    check: bool,
    about: Option<String>,
    text: String,
    differences: usize,
}

/// A setting that is not as wanted, to be mended.
#[derive(Debug)]
#[must_use = "what is mended is told"]
pub(super) struct Difference {
    setting: String,
    have: Option<String>,
    want: Option<String>,
}

impl Report {
    /// `check`: nothing is to be changed.
    pub(super) fn new(check: bool) -> Self {
        Self {
            check,
            about: None,
            text: String::new(),
            differences: 0,
        }
    }

    pub(super) fn is_check(&self) -> bool {
        self.check
    }

    /// Whose settings the next ones are.
    pub(super) fn about(&mut self, resource: String) {
        self.about = Some(resource);
    }

    /// A difference that has to be mended, if there is one; in a check it is only told.
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
            self.tell(&difference);
            return None;
        }
        Some(difference)
    }

    /// Tells of a difference: one that is mended now, or one of a check.
    pub(super) fn tell(&mut self, difference: &Difference) {
        self.differences += 1;
        let Difference { setting, have, want } = difference;
        for (sign, value) in [('-', have), ('+', want)] {
            if let Some(value) = value {
                self.line(sign, setting, value);
            }
        }
    }

    /// Tells of a setting that the server does not have.
    pub(super) fn unsupported(&mut self, setting: &str) {
        self.line(' ', setting, "not supported by this store");
    }

    /// Tells of a setting that is not looked at.
    pub(super) fn left_alone(&mut self, setting: &str, why: &str) {
        self.line(' ', setting, &format!("unchanged, {why}"));
    }

    fn line(&mut self, sign: char, setting: &str, value: &str) {
        if let Some(resource) = self.about.take() {
            let _ = writeln!(self.text, "{resource}");
        }
        let _ = writeln!(self.text, "{sign} {setting}: {}", printable(value));
    }

    /// The lines, with one that sums them up where all was `done`.
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
    fn a_resource_is_named_before_what_is_said_of_it_and_only_then() {
        let mut report = Report::new(true);
        report.about("queue a".to_owned());
        assert!(report.compare("long poll", Some("20"), Some("20")).is_none());
        report.about("queue b".to_owned());
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
    fn what_is_mended_is_told_when_it_is() {
        let mut report = Report::new(false);
        report.about("bucket a".to_owned());
        let difference = report.compare("versioning", Some("off"), Some("on"));
        let difference = difference.expect("it differs");
        report.tell(&difference);
        assert_eq!(
            report.finish(true).0,
            "bucket a\n- versioning: off\n+ versioning: on\n1 setting changed\n"
        );
    }
}
