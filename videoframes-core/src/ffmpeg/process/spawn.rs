//! Spawning of child processes that do not outlive this process, however it ends. Children are confined: they get
//! none of this process's secrets, no new privileges, and bounded resources.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::sandbox::Confinement;
use crate::limits::CHILD_FILES;

/// Environment variables that children inherit: search paths of programs and libraries, and the folder for
/// temporary files. Other variables, such as the address of a database or the keys of a store, are not passed on.
const INHERITED: [&str; 5] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "TMPDIR",
];

/// Environment variables that are set for children.
const SET: [(&str, &str); 3] = [
    // Colours would change the output that is parsed.
    ("AV_LOG_FORCE_NOCOLOR", "1"),
    // SVT-AV1 bypasses ffmpeg's log and prints into the middle of its lines: errors only.
    ("SVT_LOG", "1"),
    // glibc reserves 64 MiB of address space for each arena, and by default has eight arenas per core.
    ("MALLOC_ARENA_MAX", "2"),
];

/// Resource limits of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Address space in bytes. Enforced on Linux only.
    pub(crate) memory: u64,
    /// Size of each file that the child writes, in bytes.
    pub(crate) file: u64,
    /// CPU time of all threads together, in seconds.
    pub(crate) cpu: u64,
}

/// Spawns `command` with limits and in a sandbox, as the leader of a separate process group. On Linux the kernel kills the child when
/// this process dies, even by SIGKILL. On other systems only the owner of the child kills it.
pub(crate) fn spawn(
    mut command: Command,
    bounds: Bounds,
    confinement: Option<Confinement>,
) -> io::Result<Child> {
    command.process_group(0).env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env::<_, OsString>(name, value);
        }
    }
    command.envs(SET);
    // First, since the sandbox keeps the child from changing this.
    bound::die_with_this_process(&mut command);
    confine(&mut command, bounds, confinement);
    bound::spawn(command)
}

/// Keeps other processes of the same user from reading the memory and environment of this process. Such a process
/// can be a decoder that was compromised by a video. Also disables core dumps. Does nothing on systems other than
/// Linux.
///
/// # Errors
/// Fails if the system refuses.
pub fn protect_secrets() -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Limits the resources of `command`, denies new privileges, and restricts its access.
#[allow(unsafe_code)]
fn confine(command: &mut Command, bounds: Bounds, mut confinement: Option<Confinement>) {
    let confine = move || {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            rustix::thread::set_no_new_privs(true)?;
            lower(Resource::As, bounds.memory)?;
        }
        lower(Resource::Fsize, bounds.file)?;
        lower(Resource::Cpu, bounds.cpu)?;
        lower(Resource::Core, 0)?;
        lower(Resource::Nofile, CHILD_FILES)?;
        // Last, since the sandbox refuses some calls.
        confinement.as_mut().map_or(Ok(()), |confinement| {
            close_inherited_files();
            confinement.apply()
        })
    };
    // SAFETY: between fork and exec, the closure only makes async-signal-safe system calls, compares numbers, closes a
    // file, and creates errors from numbers. The closure neither allocates nor locks.
    unsafe { command.pre_exec(confine) };
}

/// Closes inherited files at exec, except the standard streams: a sandbox does not restrict open files.
#[allow(unsafe_code)]
fn close_inherited_files() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call has no pointers, and only sets a flag of files of this process. Kernels before 5.11 refuse it.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// Lowers the soft and hard limit of a resource. A limit that is already lower is kept.
fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let limit = [now.current, now.maximum]
        .into_iter()
        .flatten()
        .fold(limit, u64::min);
    setrlimit(
        resource,
        Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        },
    )?;
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod bound {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
    use std::sync::{Mutex, PoisonError};

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    type Order = (Command, SyncSender<io::Result<Child>>);

    /// Channel to the spawner thread. The parent-death signal is sent when the thread that forked the child
    /// exits, not when the process exits. Threads of a pool come and go; the spawner thread stays.
    static SPAWNER: Mutex<Option<Sender<Order>>> = Mutex::new(None);

    pub(crate) fn spawn(command: Command) -> io::Result<Child> {
        let (reply, outcome) = sync_channel(1);
        order((command, reply))?;
        outcome.recv().map_err(io::Error::other)?
    }

    fn order(order: Order) -> io::Result<()> {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = match &*spawner {
            Some(orders) => orders,
            None => spawner.insert(start()?),
        };
        orders.send(order).map_err(io::Error::other)
    }

    fn start() -> io::Result<Sender<Order>> {
        let (sender, orders) = channel::<Order>();
        let run = move || {
            for (mut command, reply) in orders {
                // If the caller no longer waits, the child and its pipes are dropped.
                let _ = reply.send(command.spawn());
            }
        };
        std::thread::Builder::new()
            .name("vf-spawner".to_owned())
            .spawn(run)?;
        Ok(sender)
    }

    /// Makes the kernel kill the child when this process dies.
    #[allow(unsafe_code)]
    pub(crate) fn die_with_this_process(command: &mut Command) {
        let parent = getpid();
        let bind = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // If the parent died before the previous call, no signal will follow.
            if getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::Error::from(Errno::SRCH))
            }
        };
        // SAFETY: between fork and exec, the closure only makes two async-signal-safe system calls, compares numbers,
        // and creates errors from numbers. The closure neither allocates nor locks.
        unsafe { command.pre_exec(bind) };
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};

        #[test]
        fn a_child_outlives_the_thread_that_spawned_it() {
            let ask = || {
                let mut command = Command::new("cat");
                super::die_with_this_process(&mut command);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let child = super::spawn(command).unwrap();
                (child, std::fs::read_link("/proc/thread-self").unwrap())
            };
            let (mut child, thread) = std::thread::spawn(ask).join().unwrap();
            // A joined thread may still exist for a moment.
            let task = std::path::Path::new("/proc").join(thread);
            while task.exists() {
                std::thread::yield_now();
            }
            // The signal would have been sent by now, and a killed child does not respond.
            let _ = child.stdin.as_mut().unwrap().write_all(b"?");
            let mut answer = [0];
            let answered = child.stdout.as_mut().unwrap().read_exact(&mut answer);
            assert!(answered.is_ok(), "the child was killed with the thread");
            child.kill().unwrap();
            child.wait().unwrap();
        }

        #[test]
        fn reports_a_missing_program() {
            let missing = super::spawn(Command::new("/no/such/program"));
            assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod bound {
    pub(crate) fn die_with_this_process(_command: &mut super::Command) {}

    pub(crate) fn spawn(mut command: super::Command) -> super::io::Result<super::Child> {
        command.spawn()
    }
}
