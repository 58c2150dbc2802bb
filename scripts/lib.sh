# shellcheck shell=bash
# Sourced by the scripts beside it, with `set -euo pipefail` on. Works with bash 3.2 (macOS).

# With --help as the only argument, prints the comment at the start of the script.
case $#:${1:-} in
1:--help | 1:-h)
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
    exit 0
    ;;
esac

caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD

# Absolute path of the folder for build output and downloads.
target=${CARGO_TARGET_DIR:-target}
case $target in
/*) ;;
*) target=$root/$target ;;
esac

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Prints a path for readers: relative to the repository, if the path is inside.
short() { printf '%s\n' "${1#"$root"/}"; }

# Prints the SHA-256 of a file in hex.
sha256() {
    if have sha256sum; then
        sha256sum "$1" | cut -d ' ' -f 1
    else
        shasum -a 256 "$1" | cut -d ' ' -f 1
    fi
}

# check_sha256 FILE HEX: fails and prints both checksums if they differ.
check_sha256() {
    local got
    got=$(sha256 "$1")
    [ "$got" = "$2" ] || {
        say "$(basename "$1"): sha256 is $got, expected $2"
        return 1
    }
}

# Runs a command as root: directly, or through sudo, which asks for a password only on a terminal.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    elif have sudo && [ -t 0 ]; then
        sudo "$@"
    else
        return 1
    fi
}

# install_package APT BREW: installs one package (APT may name several, BREW may be empty).
# Returns 1 if the package cannot be installed on this machine. Callers check first that it is missing.
install_package() {
    local apt=$1 brew=$2
    if have apt-get; then
        as_root apt-get update -qq || return 1
        # shellcheck disable=SC2086 # several packages are several words
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $apt >&2
    elif [ -n "$brew" ] && have brew; then
        brew install "$brew" >&2
    else
        return 1
    fi
}

# Runs a command as the user postgres if the caller is root: Postgres and its tools refuse to run as root.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$@")
    else
        "$@"
    fi
}

# Prints the folder of the newest Postgres programs, which distributions install outside $PATH.
postgres_programs() {
    local initdb found=""
    for initdb in "$(command -v initdb || true)" /opt/homebrew/opt/postgresql@*/bin/initdb \
        /usr/local/opt/postgresql@*/bin/initdb /usr/lib/postgresql/*/bin/initdb; do
        if [ -x "$initdb" ]; then
            found=$(dirname "$initdb")
        fi
    done
    [ -n "$found" ] && printf '%s\n' "$found"
}

# Prints the folder of promtool and prometheus: $PATH, or the folder of scripts/install-promtool.
prometheus_programs() {
    local folder
    for folder in "$(dirname "$(command -v promtool || true)")" "$target/tools/prometheus"; do
        if [ -x "$folder/promtool" ] && [ -x "$folder/prometheus" ] && "$folder/promtool" --version >/dev/null 2>&1; then
            printf '%s\n' "$folder"
            return 0
        fi
    done
    return 1
}

# folder_of PATH: prints the absolute path of an existing folder, without symbolic links. A relative PATH starts at
# the working directory of the caller.
folder_of() {
    (cd "$caller" && cd "$1" 2>/dev/null && pwd -P)
}

# new_folder PATH: like folder_of, but creates a missing folder.
new_folder() {
    (cd "$caller" && mkdir -p "$1") || fail "cannot create '$1'"
    folder_of "$1"
}

# started_folder PATH FILE: like folder_of, but fails if no server was started in the folder, and so FILE is missing.
started_folder() {
    local folder
    folder=$(folder_of "$1") || fail "no server was started in '$1': there is no such folder"
    [ -e "$folder/$2" ] || fail "no server was started in '$1': '$folder/$2' is missing"
    printf '%s\n' "$folder"
}

# Prints the command line of a process; prints nothing for a zombie.
command_of() { (tr '\0' ' ' <"/proc/$1/cmdline" || ps -p "$1" -o args=) 2>/dev/null; }

# server_of FOLDER WORD: prints the process ID in FOLDER/pid, if the process runs and has WORD in its command line.
# After a restart of the machine, another process may have the same ID.
server_of() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    case $(command_of "$pid") in
    *"$2"*) printf '%s\n' "$pid" ;;
    *) return 1 ;;
    esac
}

# stop_server FOLDER WORD: stops the process group of the server in FOLDER/pid, and kills it after three seconds, since
# SeaweedFS takes 16 seconds, and on a full disk never ends. Reports a server that had already ended; fails if the
# process belongs to another program.
stop_server() {
    local pid tries=0
    if pid=$(server_of "$1" "$2"); then
        # The process leads a group, and another process of the group may serve the requests.
        kill -- "-$pid" 2>/dev/null || true
        while kill -0 -- "-$pid" 2>/dev/null; do
            [ "$((tries += 1))" != 30 ] || kill -KILL -- "-$pid" 2>/dev/null || true
            sleep 0.1
        done
    elif pid=$(cat "$1/pid") && [ -n "$(command_of "$pid")" ]; then
        fail "process $pid is not the server of '$1': remove '$1/pid' if that server has ended"
    else
        say "the server of '$1' had already ended"
    fi
    rm -f "$1/pid"
}

# The packages for crates.io in the order of their publication, and the options that exclude the others.
published="videoframes-migration videoframes-core videoframes-console videoframes-cli videoframes-worker"
unpublished="--exclude videoframes-examples --exclude videoframes-benches --exclude videoframes-simulation --exclude videoframes-chaos"

# Prints the version of the workspace.
workspace_version() { sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1; }

# Sets variables with which equal sources give equal programs and packages, in every folder: times are those of the commit,
# and paths of this machine do not reach the programs.
build_reproducibly() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo}
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH
    # The last option that matches a path applies, so an inner folder comes last.
    local each folders=("$cargo_home=/cargo" "$root=/videoframes" "$target=/target")
    case $root/ in
    "$target"/*) folders=("$cargo_home=/cargo" "$target=/target" "$root=/videoframes") ;;
    esac
    RUSTFLAGS="" CFLAGS=""
    for each in "${folders[@]}"; do
        RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$each"
        CFLAGS="$CFLAGS -ffile-prefix-map=$each"
    done
    export RUSTFLAGS CFLAGS
}

# Tools that build programs and wheels for every Linux, and the oldest glibc with which these run.
wheel_tools="cargo-zigbuild==0.24.1 maturin==1.16.0 ziglang==0.17.1"
glibc=2.28

# pack PARENT NAME FILE: packs the folder NAME of PARENT into a tar.gz file. Equal contents give equal bytes.
pack() {
    # Options of GNU tar, which has another name on macOS. The users and times of this machine are not packed.
    local tar=tar
    ! have gtar || tar=gtar
    "$tar" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        -C "$1" -cf - "$2" | gzip -9n >"$3"
}

# install_cargo_tool NAME VERSION OPTION…: installs a command of cargo into target/tools/cargo, and puts it on the path.
install_cargo_tool() {
    local folder=$target/tools/cargo
    case :$PATH: in
    *":$folder/bin:"*) ;;
    *) export PATH="$folder/bin:$PATH" ;;
    esac
    if ! grep -qs "^\"$1 $2 " "$folder/.crates.toml"; then
        say "installing $1 $2"
        # Without the options of the programs, which would build the tool again for each folder.
        env -u RUSTFLAGS -u CFLAGS cargo install --locked --quiet --root "$folder" "$1@$2" "${@:3}"
    fi
}

have_pip() { have python3 && python3 -m pip --version >/dev/null 2>&1; }

# pip_wheel REQUIREMENT DIR: downloads a wheel into DIR and installs nothing. Works also with an externally managed
# Python.
pip_wheel() {
    mkdir -p "$2"
    python3 -m pip download --quiet --disable-pip-version-check --retries 1 \
        --no-deps --only-binary :all: --dest "$2" "$1" >&2
}

# install_wheels NAME WHEELS WHAT: installs wheels into the virtual environment target/tools/NAME. Does nothing if exactly
# these are installed; exits with 3 if they cannot be installed on this machine.
install_wheels() {
    local folder=$target/tools/$1 wheels=$2
    if [ "$(cat "$folder/installed" 2>/dev/null)" = "$wheels" ]; then
        return 0
    fi
    # On Debian, the modules for virtual environments are in a separate package.
    if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        say "installing python3-venv"
        install_package python3-venv "" || exit 3
    fi
    say "installing the $3"
    rm -rf "$folder"
    python3 -m venv "$folder" || exit 3
    # shellcheck disable=SC2086 # several wheels are several words
    "$folder/bin/pip" install --quiet --disable-pip-version-check --retries 1 $wheels >&2 || exit 3
    printf '%s\n' "$wheels" >"$folder/installed"
}

# unzip_to ZIP DIR: extracts an archive into DIR.
unzip_to() {
    mkdir -p "$2"
    if have python3; then
        python3 -m zipfile -e "$1" "$2"
    else
        unzip -q -o "$1" -d "$2"
    fi
}

# Ensures that `cargo` runs the release that rust-toolchain.toml pins. The release may be installed under its number
# or as `stable`; otherwise rustup installs the release.
use_cargo() {
    local pinned
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        export PATH="$HOME/.cargo/bin:$PATH"
    fi
    have cargo || fail "cargo not found: install Rust with rustup"
    if ! RUSTUP_AUTO_INSTALL=0 cargo --version >/dev/null 2>&1; then
        pinned=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
        case $(RUSTUP_AUTO_INSTALL=0 RUSTUP_TOOLCHAIN=stable cargo --version 2>/dev/null) in
        "cargo $pinned "*) export RUSTUP_TOOLCHAIN=stable ;;
        *)
            say "installing Rust $pinned"
            rustup toolchain install "$pinned" --profile minimal -c rustfmt -c clippy >&2 ||
                fail "Rust $pinned is needed and could not be installed"
            ;;
        esac
    fi
    # rustc links with the system's C compiler, which a fresh Debian lacks.
    if ! have cc; then
        say "installing a linker (cc)"
        install_package "gcc libc6-dev" "" || fail "no linker: install a C compiler (gcc or clang)"
    fi
}
