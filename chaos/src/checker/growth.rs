//! Growth of the resources of workers that live long.

use super::observed::Violation;
use crate::workers::processes::Resources;

/// Age in seconds from which a worker has reached its usual size.
const WARM: u64 = 20;
/// Minimum time of observation in seconds.
const OBSERVED: u64 = 40;
/// Permitted growth of the median memory, in addition to half of it: the heap of a busy process varies.
const BYTES: u64 = 96 << 20;
/// Permitted growth of the median number of open files: connections come and go.
const FILES: u64 = 64;
/// Permitted growth of the median number of temporary files: some per slot.
const TEMPORARY: u64 = 16;

/// Returns the growth of a worker, if it is too large.
pub(crate) fn growth(worker: &str, samples: &[Resources]) -> Vec<Violation> {
    let warm: Vec<_> = samples.iter().filter(|sample| sample.age >= WARM).collect();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
        return Vec::new();
    };
    if last.age - first.age < OBSERVED {
        return Vec::new();
    }
    let third = warm.len() / 3;
    let compare = |value: fn(&Resources) -> u64| {
        let of = |samples: &[&Resources]| median(samples.iter().map(|sample| value(sample)).collect());
        (of(&warm[..third]), of(&warm[warm.len() - third..]))
    };
    let memory = compare(|sample| sample.resident_bytes);
    let mut found = Vec::new();
    if memory.1 > memory.0 + memory.0 / 2 + BYTES {
        found.push(format!(
            "resident memory grew from {} to {} bytes",
            memory.0, memory.1
        ));
    }
    let files = compare(|sample| sample.open_files);
    let temporary = compare(|sample| sample.temporary_files);
    for (name, (before, after), permitted) in [("open", files, FILES), ("temporary", temporary, TEMPORARY)] {
        if after > before + permitted {
            found.push(format!("{name} files grew from {before} to {after}"));
        }
    }
    found
        .into_iter()
        .map(|text| Violation::new(worker, text))
        .collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident_bytes: fn(u64) -> u64, files: fn(u64) -> u64) -> Vec<Resources> {
        let sample = |age| Resources {
            age,
            resident_bytes: resident_bytes(age),
            open_files: files(age),
            temporary_files: files(age) / 8,
        };
        (0..300).map(sample).collect()
    }

    #[test]
    fn only_steady_growth_is_a_violation() {
        let flat = samples(|age| (100 << 20) + ((age % 50) << 20), |age| 40 + age % 30);
        assert_eq!(growth("w", &flat), []);
        assert_eq!(growth("w", &flat[..50]), [], "too short to decide");
        let leaking = samples(|age| (100 << 20) + (age << 20), |_| 40);
        assert!(growth("w", &leaking)[0].text.starts_with("resident memory grew"));
        let leaking = samples(|_| 100 << 20, |age| 40 + age);
        let found = growth("w", &leaking);
        assert!(found[0].text.starts_with("open files grew"));
        assert!(found[1].text.starts_with("temporary files grew"));
    }
}
