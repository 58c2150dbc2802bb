#!/usr/bin/env bash
# Installs, uses, upgrades and purges the package videoframes. scripts/check-deb copies this script into a container and starts
# it there as a service; it changes the system.
#
# Writes a line `ok CHECK` or `FAILED CHECK: DETAIL` for each check to /check-deb.log, and then ends the container.
set -uo pipefail

[ "$(systemd-detect-virt --container)" = systemd-nspawn ] || {
    echo "error: only for the container of scripts/check-deb: it changes the system" >&2
    exit 1
}
exec >/check-deb.log 2>&1
export DEBIAN_FRONTEND=noninteractive

# check NAME COMMAND…: reports whether the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAILED $name: $(tr '\n' ' ' <<<"$output" | tail -c 800)"
    fi
}
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
of_unit() { systemctl show --value --property "$1" vf-worker.service; }
worker() {
    systemd-run --quiet --pipe --wait --collect --uid=videoframes -p UMask=0077 \
        -p EnvironmentFile=/etc/videoframes/worker.env vf-worker "$@"
}
# All files, without those of running services and of dpkg.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /packages -o -path /var/lib/dpkg \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/systemd -o -path /root -o -path /check-deb.log \) -prune \
        -o -print | sort
    cut -d : -f 1 /etc/passwd /etc/group | sort
    find /var/cache -mindepth 1 -maxdepth 1 | sort
}

install_package() { dpkg --install /packages/first.deb; }
is_not_started() { is "$(of_unit ActiveState)" inactive && is "$(systemctl is-enabled vf-worker.service)" disabled; }
extracts() {
    (cd "$(mktemp -d)" && vf extract /srv/clip.mp4 --fps 1 -o frames.zip && [ -s frames.zip ] && vf doctor)
}
has_pages() {
    [ -s /usr/share/man/man1/vf.1.gz ] || [ -s /usr/share/man/man1/vf.1 ] || { echo "no man page"; return 1; }
    bash -n /usr/share/bash-completion/completions/vf && bash -n /usr/share/bash-completion/completions/vf-worker
}
has_licences() { grep -q '^- tokio ' /usr/share/doc/videoframes/THIRD-PARTY.md || { echo "no licences of the libraries"; return 1; }; }
keeps_secrets() { is "$(stat -c '%a %U:%G' /etc/videoframes/worker.env)" "640 root:videoframes"; }
starts() { systemctl enable --now vf-worker.service && completes; }
completes() { worker submit /srv/clip.mp4 --fps 2 --wait; }
upgrades() {
    local before
    before=$(of_unit MainPID)
    echo "# changed by the administrator" >>/etc/videoframes/worker.env
    dpkg --install /packages/second.deb || return 1
    [ "$(of_unit MainPID)" != "$before" ] || { echo "the worker was not restarted"; return 1; }
    is "$(of_unit ActiveState)" active && grep -q "changed by the administrator" /etc/videoframes/worker.env
}
removes() {
    dpkg --remove videoframes || return 1
    [ -e /var/lib/videoframes/jobs.sqlite ] && [ -e /etc/videoframes/worker.env ] && [ ! -e /usr/bin/vf-worker ] &&
        is "$(of_unit ActiveState)" inactive
}
purges() { dpkg --purge videoframes; }
leaves_nothing() {
    files >/tmp/after
    diff /tmp/before /tmp/after
}

files >/tmp/before
check install install_package
check not-started is_not_started
check vf extracts
check pages has_pages
check licences has_licences
check secrets keeps_secrets
check service starts
check upgrade upgrades
check job-after-upgrade completes
check remove removes
check install-again install_package
check job-after-removal starts
check purge purges
check nothing-left leaves_nothing
echo complete
systemctl poweroff --no-block
