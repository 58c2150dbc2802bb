#!/usr/bin/env bash
# Checks the installed units on a booted system. scripts/boot-test copies this script into a container and starts it there as
# a service; it changes the system.
#
# Writes a line `ok CHECK` or `FAILED CHECK: DETAIL` for each check to /boot-test.log, and then ends the container.
set -uo pipefail

[ "$(systemd-detect-virt --container)" = systemd-nspawn ] || {
    echo "error: only for the container of scripts/boot-test: it changes the system" >&2
    exit 1
}
exec >/boot-test.log 2>&1
environment=/etc/videoframes/worker.env

# Runs a command of the worker as its user: as in deploy/README.md.
vf() {
    systemd-run --quiet --pipe --wait --collect --uid=videoframes -p UMask=0077 -p EnvironmentFile=$environment \
        vf-worker "$@"
}
of_unit() { systemctl show --value --property "$1" "${2:-vf-worker.service}"; }
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(of_unit MainPID)/status"; }
# Runs a command with the file systems of the worker.
within() { nsenter --target "$(of_unit MainPID)" --mount "$@"; }

# until_true COMMAND…: waits up to 20 s until the command succeeds.
until_true() {
    local tries
    for tries in $(seq 40); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.5
    done
    echo "not after $tries tries: $*"
    return 1
}

# check NAME COMMAND…: reports whether the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAILED $name: $(tr '\n' ' ' <<<"$output" | tail -c 500)"
    fi
}

is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
ready() { until_true vf health --ready; }
no_failures() { is "$(systemctl list-units --failed --plain --no-legend 'vf-worker*')" ""; }

completes_a_job() {
    vf submit /srv/clip.mp4 --fps 2 --rendition max_height=120 --wait || return 1
    is "$(find /var/lib/videoframes/store -name '*.zip' | wc -l)" 1
}
runs_unprivileged() {
    is "$(field Uid | cut -f 1)" "$(id -u videoframes)" && is "$(field CapEff)" 0000000000000000 &&
        is "$(field CapBnd)" 0000000000000000 && is "$(field NoNewPrivs)" 1
}
# The container has filters, too.
filters_calls() {
    local here
    here=$(sed -n 's/^Seccomp_filters:[[:space:]]*//p' /proc/self/status)
    [ "$(field Seccomp_filters)" -gt "$here" ] || { echo "no more filters than the $here of the container"; return 1; }
}
cannot_write() {
    local folder
    # As root: the file system itself is read-only.
    for folder in /usr /etc /var/lib /opt; do
        if within touch "$folder/boot-test" 2>/dev/null; then
            echo "$folder is writable"
            return 1
        fi
    done
}
has_private_files() {
    touch /tmp/visible /home/visible
    if within test -e /tmp/visible || within test -e /home/visible; then
        echo "the worker has the files of others"
        return 1
    fi
    is "$(within find /dev -type b | wc -l)" 0
}
keeps_data_private() {
    is "$(stat -c '%a %U' /var/lib/videoframes)" "700 videoframes" &&
        is "$(stat -c '%a %U' /var/cache/videoframes)" "700 videoframes" &&
        is "$(stat -c '%a %U %G' $environment)" "640 root videoframes" &&
        is "$(find /var/lib/videoframes -type f -perm /077)" ""
}
succeeds() { systemctl start "$1" && is "$(of_unit Result "$1")" success; }
makes_a_backup() { succeeds vf-worker-backup.service && test -s /var/lib/videoframes/backup/jobs.sqlite; }
sweeps_scratch() {
    local dead=/var/cache/videoframes/processor-dead
    install -d -o videoframes -g videoframes -m 700 $dead
    install -o videoframes -g videoframes /dev/null $dead/lock
    succeeds vf-worker-sweep.service && ! test -e $dead && ready
}

# another_process PID: returns whether the worker runs again, as another process.
another_process() { [ "$(of_unit ActiveState)" = active ] && [ "$(of_unit MainPID)" != "$1" ] && [ "$(of_unit MainPID)" != 0 ]; }
restarts_after_a_crash() {
    local before
    before=$(of_unit MainPID)
    kill -KILL "$before"
    until_true another_process "$before" && ready
}
restarts_when_stuck() {
    local before
    systemctl start vf-worker.service
    before=$(of_unit MainPID)
    kill -STOP "$before"
    systemctl start vf-worker-health.service && return 1
    until_true another_process "$before" && ready
}
has_ended() { case $(of_unit ActiveState) in failed | inactive) ;; *) return 1 ;; esac; }
ends_with_a_wrong_configuration() {
    cp $environment /root/worker.env
    echo VF_CONCURRENCY=none >>$environment
    systemctl restart vf-worker.service
    until_true has_ended
    # Longer than RestartSec.
    sleep 7
    is "$(of_unit ActiveState) $(of_unit ExecMainStatus)" "failed 2" || return 1
    cp /root/worker.env $environment
    systemctl reset-failed vf-worker.service
    systemctl restart vf-worker.service && ready
}
stops_without_an_error() {
    systemctl stop vf-worker.service
    is "$(of_unit Result) $(of_unit ExecMainStatus)" "success 0"
}

check ready ready
check job completes_a_job
check unprivileged runs_unprivileged
check calls filters_calls
check read-only cannot_write
check private-files has_private_files
check permissions keeps_data_private
check backup makes_a_backup
check restore-test succeeds vf-worker-restore-test.service
check health succeeds vf-worker-health.service
check sweep sweeps_scratch
check no-failures no_failures
check restart-after-crash restarts_after_a_crash
check restart-when-stuck restarts_when_stuck
check wrong-configuration ends_with_a_wrong_configuration
check stop stops_without_an_error
echo complete
systemctl exit 0
