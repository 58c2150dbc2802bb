//! The files that a program needs to start: itself, its interpreters, and folders with libraries.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use rustix::fs::Access;

/// Maximum length of the first line of a script, as in Linux.
const FIRST_LINE: u64 = 256;
/// Maximum number of interpreters of a script, as in Linux.
const INTERPRETERS: usize = 5;
/// Folders that are searched without a `PATH`, as by the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Folders of the system with libraries.
const SYSTEM: [&str; 3] = ["/usr", "/lib", "/lib64"];
/// The usual loaders, for a program that cannot be read.
const LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];
/// Maximum length of the name of an interpreter or of a list of folders with libraries.
const NAME: u64 = 4096;

/// The files that a program needs to start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Executable {
    /// Files that are executed: the program, its interpreters, and the dynamic loader.
    pub(super) files: Vec<PathBuf>,
    /// Folders with libraries that the files name.
    pub(super) libraries: Vec<PathBuf>,
    /// Whether the program is a script, which may start other programs.
    pub(super) is_script: bool,
}

impl Executable {
    /// Returns whether the program may need files that it does not name: a script may start any program, and libraries outside
    /// the folders of the system may need others in further folders.
    pub(super) fn is_unusual(&self) -> bool {
        let is_of_system = |folder: &PathBuf| SYSTEM.iter().any(|system| folder.starts_with(system));
        self.is_script || !self.libraries.iter().all(is_of_system)
    }

    /// Examines the program at `path`, which is searched on the `PATH` if it has no folder.
    ///
    /// # Errors
    /// Fails if the program does not exist or cannot be read.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let mut executable = Self::default();
        let mut next = Some(search(path)?);
        for _ in 0..INTERPRETERS {
            let Some(path) = next else { break };
            // To open a pipe would wait for a writer.
            if !path.metadata()?.is_file() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let mut file = match File::open(&path) {
                // A program may be executable and not readable.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    executable.files.extend(LOADERS.iter().map(PathBuf::from));
                    executable.files.push(path);
                    break;
                }
                opened => opened?,
            };
            let mut line = Vec::new();
            Read::by_ref(&mut file).take(FIRST_LINE).read_to_end(&mut line)?;
            next = match interpreter(&line) {
                Some(found) => {
                    executable.is_script = true;
                    // `env` starts the program that it is given.
                    if let Some(started) = found.started {
                        executable.add_program(&search(Path::new(started))?)?;
                    }
                    Some(PathBuf::from(found.path))
                }
                None if line.starts_with(&elf::ELFMAG) => {
                    executable.add_needs(file, &path);
                    None
                }
                // Shells and the standard library run such a file with the shell of the system.
                None => {
                    executable.is_script = true;
                    Some(PathBuf::from("/bin/sh"))
                }
            };
            executable.files.push(path);
        }
        Ok(executable)
    }

    fn add_program(&mut self, path: &Path) -> io::Result<()> {
        self.add_needs(File::open(path)?, path);
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Adds what a program in the format ELF names. Another format names nothing.
    fn add_needs(&mut self, file: File, path: &Path) {
        let needs = needs(&ReadCache::new(file)).unwrap_or_default();
        self.files.extend(needs.loader);
        // The loader resolves symbolic links first.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folders = needs.folders.iter().map(|name| expand(name, folder));
        self.libraries
            .extend(folders.filter(|folder| folder.is_absolute()));
    }
}

/// Returns the path of a program.
fn search(program: &Path) -> io::Result<PathBuf> {
    if program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(program.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The interpreter of a script.
#[derive(Debug, PartialEq, Eq)]
struct Interpreter<'a> {
    path: &'a OsStr,
    /// Program that the interpreter starts, if the interpreter is `env`.
    started: Option<&'a OsStr>,
}

/// Returns the interpreter that the first line of a script names.
fn interpreter(script: &[u8]) -> Option<Interpreter<'_>> {
    let line = script.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .map(OsStr::from_bytes);
    let path = words.next()?;
    let is_env = Path::new(path).file_name() == Some(OsStr::new("env"));
    let is_program = |word: &&OsStr| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'=');
    let started = words.find(is_program).filter(|_| is_env);
    Some(Interpreter { path, started })
}

/// What a program in the format ELF needs.
#[derive(Debug, Default)]
struct Needs {
    loader: Option<PathBuf>,
    /// Folders with libraries, where `$ORIGIN` is the folder of the program.
    folders: Vec<String>,
}

/// Returns what a program needs, or `None` for another format than ELF.
fn needs<'data>(data: impl ReadRef<'data>) -> Option<Needs> {
    match data.read_at::<[u8; 16]>(0).ok()?[4] {
        elf::ELFCLASS64 => needs_of::<elf::FileHeader64<object::Endianness>>(data),
        elf::ELFCLASS32 => needs_of::<elf::FileHeader32<object::Endianness>>(data),
        _ => None,
    }
}

fn needs_of<'data, Header: FileHeader<Endian = object::Endianness>>(
    data: impl ReadRef<'data>,
) -> Option<Needs> {
    let header = Header::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let mut needs = Needs::default();
    let mut dynamic = None;
    for segment in segments {
        if let Ok(Some(name)) = segment.interpreter(endian, data) {
            needs.loader = (name.len() as u64 <= NAME).then(|| PathBuf::from(OsStr::from_bytes(name)));
        }
        if let Ok(Some(entries)) = segment.dynamic(endian, data) {
            dynamic = Some(entries);
        }
    }
    let entries = dynamic.unwrap_or_default();
    let value = |entry: &Header::Dyn| -> u64 { entry.d_val(endian).into() };
    let tagged = |tag: i64| {
        let is_tagged = move |entry: &&Header::Dyn| entry.tag(endian) == tag;
        entries.iter().filter(is_tagged).map(value)
    };
    let names = tagged(elf::DT_STRTAB).next();
    let names = names.and_then(|address| offset::<Header>(segments, endian, address));
    for start in tagged(elf::DT_RPATH).chain(tagged(elf::DT_RUNPATH)) {
        let at = names.and_then(|names| names.checked_add(start));
        let list = at.and_then(|at| data.read_bytes_at_until(at..at.checked_add(NAME)?, 0).ok());
        let list = list.and_then(|list| std::str::from_utf8(list).ok());
        let folders = list.unwrap_or_default().split(':');
        needs
            .folders
            .extend(folders.filter(|folder| !folder.is_empty()).map(str::to_owned));
    }
    Some(needs)
}

/// Returns the position in the file of a virtual address.
fn offset<Header: FileHeader>(
    segments: &[Header::ProgramHeader],
    endian: Header::Endian,
    address: u64,
) -> Option<u64> {
    segments.iter().find_map(|segment| {
        let start: u64 = segment.p_vaddr(endian).into();
        let length: u64 = segment.p_filesz(endian).into();
        let within = address.checked_sub(start).filter(|within| *within < length)?;
        Into::<u64>::into(segment.p_offset(endian)).checked_add(within)
    })
}

/// Replaces `$ORIGIN` in the name of a folder.
fn expand(name: &str, origin: &Path) -> PathBuf {
    let origin = origin.to_string_lossy();
    PathBuf::from(name.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_its_interpreter() {
        for (script, path, started) in [
            ("#!/bin/sh\nexec x", "/bin/sh", None),
            ("#! /bin/sh -e", "/bin/sh", None),
            ("#!/usr/bin/env python3\n", "/usr/bin/env", Some("python3")),
            (
                "#!/usr/bin/env -S A=1 python3 -u\n",
                "/usr/bin/env",
                Some("python3"),
            ),
            ("#!/bin/sh env\n", "/bin/sh", None),
        ] {
            let found = interpreter(script.as_bytes()).unwrap();
            assert_eq!(found.path, path, "{script}");
            assert_eq!(found.started, started.map(OsStr::new), "{script}");
        }
        for program in ["", "#!", "#!\n/bin/sh", "\u{7f}ELF", "# /bin/sh"] {
            assert_eq!(interpreter(program.as_bytes()), None, "{program:?}");
        }
    }

    #[test]
    fn a_program_needs_its_loader_and_a_script_its_interpreter() {
        // This test is a program, and most builds of Linux load it dynamically.
        let program = std::env::current_exe().unwrap();
        let found = Executable::find(&program).unwrap();
        assert!(!found.is_script && found.files.contains(&program));
        if cfg!(target_env = "gnu") {
            assert!(
                found
                    .files
                    .iter()
                    .any(|file| file.starts_with("/lib") || file.starts_with("/lib64"))
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ffmpeg");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = Executable::find(&script).unwrap();
        assert!(found.is_script && found.files.contains(&script));
        assert!(found.files.contains(&PathBuf::from("/bin/sh")));
        let missing = Executable::find(Path::new("no-such-program")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn scripts_and_programs_with_libraries_elsewhere_are_unusual() {
        for (libraries, is_script, unusual) in [
            (&[][..], false, false),
            (&["/usr/lib/x86_64-linux-gnu/pulseaudio"], false, false),
            (&["/usr/local/lib", "/opt/x/lib"], false, true),
            (&[], true, true),
        ] {
            let executable = Executable {
                libraries: libraries.iter().map(PathBuf::from).collect(),
                is_script,
                ..Executable::default()
            };
            assert_eq!(executable.is_unusual(), unusual, "{libraries:?}");
        }
    }

    #[test]
    fn folders_with_libraries_are_relative_to_the_program() {
        for (name, expected) in [
            ("$ORIGIN/../lib", "/opt/x/bin/../lib"),
            ("${ORIGIN}", "/opt/x/bin"),
            ("/usr/lib", "/usr/lib"),
        ] {
            assert_eq!(expand(name, Path::new("/opt/x/bin")), Path::new(expected));
        }
    }
}
