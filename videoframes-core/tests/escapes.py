# Attempts to escape from the sandbox of ffmpeg, in the place of ffmpeg. The tests insert these before:
#   FOLDER  folder with the file "neighbour" and the socket "socket"
#   PORT    port of a server on the loopback interface
#   REAL    names of the attempts to make, or an empty list for all
import ctypes, os, resource, socket, struct, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    # A plain number has 32 bits, and the rest of the register may have any value.
    arguments = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
def wait_for(child):
    os._exit(0) if child == 0 else os.waitpid(child, 0)
def connect(family, kind, address):
    with socket.socket(family, kind) as it:
        it.connect(address)
def set_attribute():
    value = ctypes.create_string_buffer(b"x")
    attribute = struct.pack("=QII", ctypes.addressof(value), 1, 0)
    call(463, -100, (FOLDER + "/neighbour").encode(), 0, b"user.x", attribute, len(attribute))
def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]
def restore_limit(kind):
    resource.setrlimit(kind, resource.getrlimit(kind))
def keeps_death_signal():
    libc.setfsuid(65534)
    signal = ctypes.c_int(0)
    libc.prctl(2, ctypes.byref(signal))
    if signal.value:
        raise OSError("the signal is kept")
MACHINE = os.uname().machine
NUMBERED = ["trace_parent", "read_parent", "outlive_parent", "shared_memory", "user_namespace", "mount", "io_uring",
    "x32_socket", "message_queue", "attributes", "watch_folder"]
attempts = {
    "inherited_file": lambda: os.read(77, 1),
    "limit": lambda: restore_limit(resource.RLIMIT_CPU),
    "message_queue": lambda: call(71, 0, 2, None),
    "attributes": set_attribute,
    "death_signal": keeps_death_signal,
    "priority_of_parent": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5),
    "affinity_of_parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "watch_folder": lambda: call(254, libc.inotify_init(), FOLDER.encode(), 0x100),
    "password_file": lambda: open("/etc/passwd").read(1),
    "neighbour_file": lambda: open(FOLDER + "/neighbour").read(1),
    "environment_of_parent": lambda: open(f"/proc/{os.getppid()}/environ").read(1),
    "memory_of_parent": lambda: open(f"/proc/{os.getppid()}/mem", "rb").read(1),
    "own_environment": lambda: open("/proc/self/environ").read(1),
    "list_processes": processes,
    "list_folder": lambda: os.listdir(FOLDER),
    "list_root": lambda: os.listdir("/"),
    "write_beside": lambda: open(FOLDER + "/written", "w").write("x"),
    "write_temporary": lambda: open("/tmp/vf-escaped", "w").write("x"),
    "truncate": lambda: os.truncate(FOLDER + "/neighbour", 0),
    "remove": lambda: os.remove(FOLDER + "/neighbour"),
    "rename": lambda: os.rename(FOLDER + "/neighbour", FOLDER + "/renamed"),
    "link": lambda: os.link(FOLDER + "/neighbour", FOLDER + "/linked"),
    "symlink": lambda: os.symlink("/etc/passwd", FOLDER + "/symlinked"),
    "folder": lambda: os.mkdir(FOLDER + "/folder"),
    "mode": lambda: os.chmod(FOLDER + "/neighbour", 0o777),
    "times": lambda: os.utime(FOLDER + "/neighbour"),
    "tcp": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT)),
    "udp": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
    "unix_socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, FOLDER + "/socket"),
    "abstract_socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0vf-none"),
    "fork": lambda: wait_for(os.fork()),
    "start": lambda: subprocess.run(["/bin/true"], check=True),
    "shell": lambda: subprocess.run("exit 0", shell=True, check=True),
    "spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "signal_parent": lambda: os.kill(os.getppid(), 0),
    "signal_all": lambda: os.kill(-1, 0),
    "trace_parent": lambda: call(101, 0x4206, os.getppid(), 0, 0),
    "read_parent": lambda: call(310, os.getppid(), 0, 0, 0, 0, 0),
    "outlive_parent": lambda: call(157, 1, 0),
    "new_session": lambda: os.setsid(),
    "memory_file": lambda: os.memfd_create("x"),
    "shared_memory": lambda: call(29, 0, 4096, 0o1600),
    "user_namespace": lambda: call(272, 0x10000000),
    "mount": lambda: call(165, b"none", FOLDER.encode(), b"tmpfs", 0, None),
    "io_uring": lambda: call(425, 1, ctypes.create_string_buffer(256)),
    "x32_socket": lambda: call(0x40000000 | 41, 2, 1, 0),
    "ten_gibibytes": lambda: bytearray(10 << 30),
    "more_memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (10 << 30, 10 << 30)),
    "many_files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)),
}
if MACHINE != "x86_64":
    for name in NUMBERED:
        del attempts[name]
succeeded = []
for name, attempt in attempts.items():
    if REAL and name not in REAL:
        continue
    try:
        attempt()
        succeeded.append(name)
    except (OSError, MemoryError, ValueError, subprocess.SubprocessError):
        pass
print("ffmpeg version 7.1-" + ",".join(succeeded))
