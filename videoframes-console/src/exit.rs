//! Exit codes, in one table for both programs.

use std::fmt::Write;

/// Success.
pub const SUCCESS: u8 = 0;
/// A defect of the program or the machine.
pub const INTERNAL: u8 = 1;
/// Wrong options, values or configuration; clap uses the same code.
pub const USAGE: u8 = 2;
/// The input, the job or the result is missing or unreadable.
pub const NOT_FOUND: u8 = 3;
/// The input is not a video.
pub const NOT_A_VIDEO: u8 = 4;
/// The input has no video stream.
pub const NO_VIDEO_STREAM: u8 = 5;
/// The video is damaged, and there is no result.
pub const DAMAGED: u8 = 6;
/// The video is damaged, and the result is partial, as requested.
pub const PARTIAL: u8 = 7;
/// A limit was exceeded, and there is no result.
pub const LIMIT: u8 = 8;
/// The output exists and must not be replaced.
pub const OUTPUT_EXISTS: u8 = 9;
/// ffmpeg is missing, too old, or lacks a component.
pub const FFMPEG: u8 = 10;
/// The output cannot be written.
pub const OUTPUT: u8 = 11;
/// ffmpeg failed or stalled.
pub const DECODER: u8 = 12;
/// The request is unsupported for this input.
pub const UNSUPPORTED: u8 = 13;
/// Several inputs failed, for different reasons. Inputs that fail for one reason end with its code.
pub const SEVERAL: u8 = 14;
/// The job failed, or the state of the job does not allow the command.
pub const JOB: u8 = 20;
/// The database, the store or a queue does not respond, or rejects a request.
pub const UNAVAILABLE: u8 = 21;
/// The database schema does not match this version.
pub const SCHEMA: u8 = 22;
/// The idempotency key belongs to another request.
pub const CONFLICT: u8 = 23;
/// A check found differences.
pub const DIFFERS: u8 = 24;
/// The program was cancelled by Ctrl-C or a signal.
pub const CANCELLED: u8 = 130;

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `vf`.
    Vf,
    /// `vf-worker`.
    Worker,
}

/// An exit code with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The numeric code.
    pub number: u8,
    /// The meaning, as in help and documentation.
    pub meaning: &'static str,
    /// The programs that use the code.
    pub programs: &'static [Program],
}

const BOTH: &[Program] = &[Program::Vf, Program::Worker];
const VF: &[Program] = &[Program::Vf];
const WORKER: &[Program] = &[Program::Worker];

const fn code(number: u8, programs: &'static [Program], meaning: &'static str) -> Code {
    Code {
        number,
        meaning,
        programs,
    }
}

/// All exit codes, sorted.
pub const CODES: &[Code] = &[
    code(SUCCESS, BOTH, "done"),
    code(INTERNAL, BOTH, "internal error"),
    code(USAGE, BOTH, "wrong usage or configuration"),
    code(NOT_FOUND, BOTH, "input, job or result cannot be read"),
    code(NOT_A_VIDEO, VF, "not a video"),
    code(NO_VIDEO_STREAM, VF, "no video stream"),
    code(DAMAGED, VF, "damaged, no result"),
    code(PARTIAL, VF, "damaged, partial result"),
    code(LIMIT, VF, "limit exceeded, no result"),
    code(OUTPUT_EXISTS, BOTH, "output exists"),
    code(FFMPEG, BOTH, "ffmpeg missing, or lacks a component"),
    code(OUTPUT, BOTH, "output cannot be written"),
    code(DECODER, VF, "ffmpeg failed or hung"),
    code(UNSUPPORTED, VF, "not possible for this input"),
    code(SEVERAL, VF, "videos failed for different reasons"),
    code(JOB, WORKER, "job failed, or is in the wrong state"),
    code(UNAVAILABLE, WORKER, "database, store or queue unavailable"),
    code(SCHEMA, WORKER, "database schema of another version"),
    code(CONFLICT, WORKER, "idempotency key or token name is taken"),
    code(DIFFERS, WORKER, "a check found differences"),
    code(CANCELLED, BOTH, "cancelled"),
];

/// Returns the exit codes of `program` as a section of its help.
pub fn help(program: Program) -> String {
    let mut text = "Exit codes:".to_owned();
    for code in CODES.iter().filter(|code| code.programs.contains(&program)) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {:>3}  {}", code.number, code.meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_fit_a_narrow_terminal() {
        assert!(CODES.is_sorted_by(|a, b| a.number < b.number));
        for program in [Program::Vf, Program::Worker] {
            let help = help(program);
            assert!(help.lines().all(|line| line.chars().count() < 49), "{help}");
        }
    }
}
