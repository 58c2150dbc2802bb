//! Files that a child may use, by Landlock.

use std::path::PathBuf;
use std::sync::LazyLock;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
    path_beneath_rules,
};

use super::Access;
use super::executable::Executable;

/// The newest version of the interface whose restrictions are used. Older kernels enforce what they know.
const VERSION: ABI = ABI::V6;

/// Libraries, and facts about the machine that libraries read.
const SYSTEM: [&str; 21] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Stores of package managers. A program in one of them has its libraries there too.
const STORES: [&str; 4] = ["/nix/store", "/gnu/store", "/home/linuxbrew/.linuxbrew", "/opt"];

/// Folders with programs that a script may start.
const PROGRAMS: [&str; 5] = ["/bin", "/sbin", "/usr", "/opt", "/nix/store"];

/// Variables with folders of libraries.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// Returns the rules for a child, or the reason why the system enforces none.
pub(super) fn ruleset(
    executable: &Executable,
    access: &Access,
    starts_programs: bool,
) -> Result<RulesetCreated, String> {
    rules(executable, access, starts_programs).map_err(|error| error.to_string())
}

fn rules(
    executable: &Executable,
    access: &Access,
    starts_programs: bool,
) -> Result<RulesetCreated, RulesetError> {
    let read: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let execute = read | AccessFs::Execute;
    let write = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
    let manage = write | make_bitflags!(AccessFs::{ReadDir | MakeReg | RemoveFile});
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(&executable.files, execute))?
        .add_rules(path_beneath_rules(libraries(executable), read))?
        .add_rules(path_beneath_rules(&access.inputs, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(&access.outputs, write))?
        .add_rules(path_beneath_rules(&access.folders, manage))?
        .add_rules(path_beneath_rules(["/dev/null"], write))?;
    if starts_programs {
        rules = rules.add_rules(path_beneath_rules(programs(), execute))?;
    }
    Ok(rules)
}

/// Folders with libraries that the loader is configured to search, below the default folder of such files.
static CONFIGURED: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let files = std::fs::read_dir("/etc/ld.so.conf.d")
        .into_iter()
        .flatten()
        .flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let folders = texts.flat_map(|text| {
        text.lines()
            .map(|line| PathBuf::from(line.trim()))
            .collect::<Vec<_>>()
    });
    folders.filter(|folder| folder.is_absolute()).collect()
});

/// Returns the folders with libraries of a program, except those of the system.
fn libraries(executable: &Executable) -> Vec<PathBuf> {
    let mut folders = executable.libraries.clone();
    let variable = std::env::var_os(LIBRARY_PATH).unwrap_or_default();
    // An empty entry is the current folder, which may have other files.
    let named = std::env::split_paths(&variable).filter(|folder| !folder.as_os_str().is_empty());
    folders.extend(named.filter_map(|folder| std::path::absolute(folder).ok()));
    folders.extend(CONFIGURED.iter().cloned());
    for store in STORES {
        let program = executable.files.iter().find_map(|file| {
            let file = file.canonicalize().ok()?;
            let package = file.strip_prefix(store).ok()?.components().next()?;
            Some(PathBuf::from(store).join(package))
        });
        let Some(package) = program else { continue };
        // The packages of other stores have libraries in other packages.
        folders.push(match store {
            "/opt" => package,
            store => store.into(),
        });
    }
    folders
}

/// Returns the folders with programs that a script may start.
fn programs() -> Vec<PathBuf> {
    let variable = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
    folders.extend(std::env::split_paths(&variable).filter(|folder| folder.is_absolute()));
    folders
}

/// Enforces empty rules for the calling thread. Returns the version of the interface.
///
/// # Errors
/// Returns the reason if the system enforces nothing.
pub(super) fn try_on_this_thread() -> Result<u32, String> {
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(VERSION))?
            .create()?
            .restrict_self()
    };
    let status = restrict().map_err(|error| format!("Landlock failed: {error}"))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("Landlock is disabled in this kernel".to_owned())
        }
        (RulesetStatus::NotEnforced, _) => {
            Err("this kernel has no Landlock, or a filter refuses its system calls".to_owned())
        }
        (
            _,
            LandlockStatus::Available {
                effective_abi,
                kernel_abi,
            },
        ) => Ok(kernel_abi.unwrap_or(effective_abi as i32).unsigned_abs()),
        (_, _) => Ok(1),
    }
}
