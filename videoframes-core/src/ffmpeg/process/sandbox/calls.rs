//! System calls that a child may not make, by seccomp.
//!
//! The list denies known calls instead of allowing known calls: builds of ffmpeg, C libraries and drivers use different
//! calls, and newer versions use newer ones.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use libc::{c_long, *};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// What a child may do in addition to decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Freedom {
    /// Writes to pipes only.
    Pipes,
    /// Writes files.
    Files,
    /// Writes files, and starts other programs.
    Programs,
}

/// A filter, or the reason why there is none for this processor.
type Filter = LazyLock<Result<BpfProgram, String>>;

/// Refuses calls. One filter for each freedom, in the order of [`Freedom`].
static REFUSED: [Filter; 3] = [
    LazyLock::new(|| refuse(Freedom::Pipes)),
    LazyLock::new(|| refuse(Freedom::Files)),
    LazyLock::new(|| refuse(Freedom::Programs)),
];

/// Hides calls, so that the C library uses older ones whose arguments can be examined.
static HIDDEN: LazyLock<BpfProgram> = LazyLock::new(hide);

/// Returns the filters of a child with this freedom, in the order of their installation.
///
/// # Errors
/// Fails if there are no filters for this processor.
pub(super) fn filters(freedom: Freedom) -> Result<[&'static BpfProgram; 2], String> {
    let refused = REFUSED[freedom as usize].as_ref().map_err(Clone::clone)?;
    Ok([&HIDDEN, refused])
}

/// Restricts the calling thread permanently by the shortest filter.
///
/// # Errors
/// Returns the reason if the system refuses.
pub(super) fn try_on_this_thread() -> Result<(), String> {
    TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    install(&HIDDEN).map_err(|error| format!("seccomp failed: {error}"))
}

/// Installs a filter for the calling thread. Neither allocates nor locks.
pub(super) fn install(filter: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(filter).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::ErrorKind::InvalidInput.into(),
    })
}

fn refuse(freedom: Freedom) -> Result<BpfProgram, String> {
    let compile = || {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let refuse = SeccompAction::Errno(EPERM.unsigned_abs());
        SeccompFilter::new(refused(freedom)?, SeccompAction::Allow, refuse, arch)?.try_into()
    };
    compile().map_err(|error: seccompiler::BackendError| error.to_string())
}

/// Returns a filter that reports calls as missing. [`SeccompFilter`] has no ranges, and a rule for each number would make
/// the filter and the start of a child several times slower.
fn hide() -> BpfProgram {
    let code = |code: u32| code as u16;
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let load_number = step(code(BPF_LD | BPF_W | BPF_ABS), 0, 0, 0);
    let answer = |answer| step(code(BPF_RET | BPF_K), answer, 0, 0);
    let jump =
        |comparison, number: c_long, jt| step(code(BPF_JMP | comparison | BPF_K), number as u32, jt, 0);
    vec![
        load_number,
        jump(BPF_JEQ, SYS_clone3, 3),
        jump(BPF_JEQ, SYS_openat2, 2),
        jump(BPF_JGE, SETXATTRAT, 1),
        answer(SECCOMP_RET_ALLOW),
        answer(SECCOMP_RET_ERRNO | ENOSYS.unsigned_abs()),
    ]
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Returns rules for every use of `calls`.
fn always(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn refused(freedom: Freedom) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = always(NETWORK);
    rules.extend(always(PROCESSES));
    rules.extend(always(IDENTITY));
    rules.extend(always(KERNEL));
    rules.extend(always(IPC));
    rules.extend(always(ATTRIBUTES));
    // These arguments are numbers of 32 bits, as are the flags of open.
    let is = |argument, value: u64| only(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    rules.insert(SYS_prctl, vec![is(0, PR_SET_PDEATHSIG as u64)?]);
    let commands = OWNERS.iter().map(|command| is(1, *command));
    rules.insert(SYS_fcntl, commands.collect::<Result<_, _>>()?);
    let requests = TERMINALS_AND_OWNERS.iter().map(|request| is(1, *request));
    rules.insert(SYS_ioctl, requests.collect::<Result<_, _>>()?);
    // Limits of other processes.
    let mut limits = vec![only(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?];
    if freedom < Freedom::Programs {
        // New limits: a process with privileges can raise its own.
        limits.push(only(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?);
        rules.extend(always(FORKS));
        // A process without this flag is not a thread.
        let thread = CLONE_THREAD as u64;
        rules.insert(
            SYS_clone,
            vec![only(
                0,
                SeccompCmpArgLen::Qword,
                SeccompCmpOp::MaskedEq(thread),
                0,
            )?],
        );
    }
    rules.insert(SYS_prlimit64, limits);
    if freedom == Freedom::Pipes {
        rules.extend(always(FILES));
        rules.insert(SYS_openat, writes(2)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(SYS_open, writes(1)?);
    }
    Ok(rules)
}

/// Returns a rule for one argument.
fn only(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, length, operator, value)?])
}

/// Returns rules for flags of open that write, create or truncate a file.
fn writes(argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    [O_WRONLY, O_RDWR, O_CREAT, O_TRUNC]
        .into_iter()
        .map(|flag| {
            let flag = u64::from(flag.unsigned_abs());
            only(
                argument,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::MaskedEq(flag),
                flag,
            )
        })
        .collect()
}

/// First hidden number. Calls from here on are newer than these lists: all architectures number them alike, and the first
/// changes extended attributes. The x32 interface of x86-64 has the same calls as others under higher numbers.
const SETXATTRAT: c_long = 463;
const STATMOUNT: c_long = 457;
const LISTMOUNT: c_long = 458;

/// Commands of fcntl that direct signals to another process: F_SETOWN, F_SETSIG and F_SETOWN_EX.
const OWNERS: &[u64] = &[8, 10, 15];

/// Requests that put characters into a terminal, or direct signals to another process.
const TERMINALS_AND_OWNERS: &[u64] = &[
    0x5412, // TIOCSTI
    0x541c, // TIOCLINUX
    0x8901, // FIOSETOWN
    0x8902, // SIOCSPGRP
];

const NETWORK: &[c_long] = &[
    SYS_socket,
    SYS_socketpair,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_setsockopt,
];

/// Access to other processes, and groups of processes.
const PROCESSES: &[c_long] = &[
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_setsid,
    SYS_setpgid,
    SYS_execveat,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_sched_setaffinity,
    SYS_sched_setattr,
    SYS_sched_setparam,
    SYS_sched_setscheduler,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_process_mrelease,
];

/// Other users and privileges. A change of the user also ends the signal at the death of the parent.
const IDENTITY: &[c_long] = &[
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
];

/// Services of the kernel that no decoder needs.
const KERNEL: &[c_long] = &[
    SYS_acct,
    SYS_add_key,
    SYS_adjtimex,
    SYS_bpf,
    SYS_chroot,
    SYS_clock_adjtime,
    SYS_clock_settime,
    SYS_delete_module,
    SYS_fanotify_init,
    SYS_finit_module,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fsopen,
    SYS_fspick,
    SYS_init_module,
    SYS_inotify_add_watch,
    SYS_io_setup,
    SYS_io_submit,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    SYS_kexec_load,
    SYS_keyctl,
    LISTMOUNT,
    SYS_lookup_dcookie,
    SYS_mount,
    SYS_mount_setattr,
    SYS_move_mount,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_open_tree,
    SYS_perf_event_open,
    SYS_personality,
    SYS_pivot_root,
    SYS_quotactl,
    SYS_reboot,
    SYS_request_key,
    SYS_setdomainname,
    SYS_sethostname,
    SYS_setns,
    SYS_settimeofday,
    STATMOUNT,
    SYS_swapoff,
    SYS_swapon,
    SYS_syslog,
    SYS_umount2,
    SYS_unshare,
    SYS_userfaultfd,
    SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    SYS_modify_ldt,
];

/// Communication between processes, and files in memory, which could be executed.
const IPC: &[c_long] = &[
    SYS_memfd_create,
    SYS_memfd_secret,
    SYS_mq_getsetattr,
    SYS_mq_notify,
    SYS_mq_open,
    SYS_mq_timedreceive,
    SYS_mq_timedsend,
    SYS_mq_unlink,
    SYS_msgctl,
    SYS_msgget,
    SYS_msgrcv,
    SYS_msgsnd,
    SYS_semctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_shmat,
    SYS_shmctl,
    SYS_shmdt,
    SYS_shmget,
    SYS_vmsplice,
];

/// Changes of attributes of files, which Landlock does not restrict.
const ATTRIBUTES: &[c_long] = &[
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchmodat2,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_utimensat,
    SYS_truncate,
    #[cfg(target_arch = "x86_64")]
    SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    SYS_chown,
    #[cfg(target_arch = "x86_64")]
    SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    SYS_utime,
    #[cfg(target_arch = "x86_64")]
    SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    SYS_futimesat,
];

/// New processes, and higher limits. Threads are made by clone.
const FORKS: &[c_long] = &[
    #[cfg(not(target_arch = "riscv64"))]
    SYS_setrlimit,
    #[cfg(target_arch = "x86_64")]
    SYS_fork,
    #[cfg(target_arch = "x86_64")]
    SYS_vfork,
];

/// New, renamed and removed files. Kernels without Landlock have no other protection.
const FILES: &[c_long] = &[
    SYS_linkat,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_renameat2,
    SYS_symlinkat,
    SYS_unlinkat,
    #[cfg(not(target_arch = "riscv64"))]
    SYS_renameat,
    #[cfg(target_arch = "x86_64")]
    SYS_creat,
    #[cfg(target_arch = "x86_64")]
    SYS_link,
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    SYS_rename,
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    SYS_unlink,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what a filter without arguments answers to a call: the instructions of `hide` only.
    fn answer(filter: &[sock_filter], number: c_long) -> u32 {
        let (number, mut next) = (number as u32, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter[next];
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            next += 1 + match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => 0,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => jump(number == k),
                code if code == BPF_JMP | BPF_JGE | BPF_K => jump(number >= k),
                code if code == BPF_RET | BPF_K => return k,
                code => panic!("instruction {code:#x}"),
            };
        }
    }

    #[test]
    fn newer_calls_and_those_with_arguments_in_memory_are_hidden() {
        let x32 = 0x4000_0000;
        for (number, is_hidden) in [
            (SYS_clone3, true),
            (SYS_openat2, true),
            (SETXATTRAT, true),
            (c_long::from(i32::MAX), true),
            (x32 | SYS_socket, true),
            (x32 | 519, true),
            (SYS_read, false),
            (SYS_clone, false),
            (SYS_openat, false),
            (SYS_clone3 + 1, false),
            (SETXATTRAT - 1, false),
        ] {
            let expected = match is_hidden {
                true => SECCOMP_RET_ERRNO | ENOSYS.unsigned_abs(),
                false => SECCOMP_RET_ALLOW,
            };
            assert_eq!(answer(&HIDDEN, number), expected, "{number:#x}");
        }
    }
}
