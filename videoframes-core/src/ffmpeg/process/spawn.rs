//! Starting children that do not outlive this process, however it ends, and that are confined: they get
//! no secret of this process, no new privileges, and bounded resources.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::CHILD_FILES;

/// Variables that children inherit: where programs and libraries are, and where temporary files go.
/// Everything else, such as the address of a database or the keys of a store, stays here.
const INHERITED: [&str; 5] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "TMPDIR",
];

/// Variables that children get.
const SET: [(&str, &str); 3] = [
    // Colours would change what is read back.
    ("AV_LOG_FORCE_NOCOLOR", "1"),
    // SVT-AV1 writes past ffmpeg's log, into the middle of its lines: errors only.
    ("SVT_LOG", "1"),
    // glibc reserves 64 MiB of address space for each arena, and by default has eight arenas per core.
    ("MALLOC_ARENA_MAX", "2"),
];

/// Resources of one child, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Address space. Not enforced on systems other than Linux.
    pub(crate) memory: u64,
    /// Size of any file that the child writes.
    pub(crate) file: u64,
}

/// Starts `command`, confined, as the leader of its own process group. On Linux the kernel kills the child
/// when this process dies, even by SIGKILL; elsewhere only its owner stops it.
pub(crate) fn spawn(mut command: Command, bounds: Bounds) -> io::Result<Child> {
    command.process_group(0).env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env::<_, OsString>(name, value);
        }
    }
    command.envs(SET);
    confine(&mut command, bounds);
    bound::spawn(command)
}

/// Keeps other processes of the same user, such as a decoder that a video has taken over, from reading the
/// memory and the environment of this process. Also turns off its core dumps. Does nothing on systems other
/// than Linux.
///
/// # Errors
/// The system's refusal.
pub fn protect_secrets() -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Bounds the resources of `command`, and bars it from new privileges.
#[allow(unsafe_code)]
fn confine(command: &mut Command, bounds: Bounds) {
    let confine = move || {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            rustix::thread::set_no_new_privs(true)?;
            lower(Resource::As, bounds.memory)?;
        }
        lower(Resource::Fsize, bounds.file)?;
        lower(Resource::Core, 0)?;
        lower(Resource::Nofile, CHILD_FILES)
    };
    // SAFETY: between fork and exec the closure makes system calls, which are safe in signal handlers,
    // compares numbers, and makes errors of numbers; nothing allocates or locks.
    unsafe { command.pre_exec(confine) };
}

/// Lowers a limit, which can be lower already, for good.
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
    use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

    type Order = (Command, SyncSender<io::Result<Child>>);

    /// Where orders go. What kills a child is the end of the thread that forked it, not that of the
    /// process: the threads of a pool come and go, and this one stays.
    static SPAWNER: Mutex<Option<Sender<Order>>> = Mutex::new(None);

    pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
        die_with(&mut command, getpid());
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
                // Who does not wait for it any more drops it, and its pipes.
                let _ = reply.send(command.spawn());
            }
        };
        std::thread::Builder::new()
            .name("vf-spawner".to_owned())
            .spawn(run)?;
        Ok(sender)
    }

    /// Has the kernel kill the child when `parent` dies.
    #[allow(unsafe_code)]
    fn die_with(command: &mut Command, parent: Pid) {
        let bind = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // A parent that died before that will not die again.
            if getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::Error::from(Errno::SRCH))
            }
        };
        // SAFETY: between fork and exec the closure makes two system calls, which are safe in signal
        // handlers, compares numbers, and makes errors of numbers; nothing allocates or locks.
        unsafe { command.pre_exec(bind) };
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};

        #[test]
        fn a_child_outlives_the_thread_that_asked_for_it() {
            let ask = || {
                let mut command = Command::new("cat");
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let child = super::spawn(command).unwrap();
                (child, std::fs::read_link("/proc/thread-self").unwrap())
            };
            let (mut child, thread) = std::thread::spawn(ask).join().unwrap();
            // It is joined a moment before it is gone.
            let task = std::path::Path::new("/proc").join(thread);
            while task.exists() {
                std::thread::yield_now();
            }
            // A signal would have been sent before that, and who has got it answers no more.
            let _ = child.stdin.as_mut().unwrap().write_all(b"?");
            let mut answer = [0];
            let answered = child.stdout.as_mut().unwrap().read_exact(&mut answer);
            assert!(answered.is_ok(), "it was killed with the thread");
            child.kill().unwrap();
            child.wait().unwrap();
        }

        #[test]
        fn a_program_that_is_missing_is_said_to_be() {
            let missing = super::spawn(Command::new("/no/such/program"));
            assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod bound {
    pub(crate) fn spawn(mut command: super::Command) -> super::io::Result<super::Child> {
        command.spawn()
    }
}
