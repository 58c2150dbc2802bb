#!/usr/bin/env bash
# Times `vf extract` against the same frames made with ffmpeg and zip. See benches/README.md.
#
#   benches/compare.sh [CLIP]        ROUNDS=5  VF=path/of/vf
set -euo pipefail

# The paths a caller gives are relative to where the caller is.
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$PWD/$1" ;; esac; }
clip=${1:+$(absolute "$1")}
vf=${VF:+$(absolute "$VF")}
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

rounds=${ROUNDS:-5}
case $rounds in *[!0-9]* | 0 | "") fail "ROUNDS has to be a whole number above 0" ;; esac
for tool in ffmpeg python3; do
    have "$tool" || fail "$tool is needed for this comparison"
done
if ! have zip; then
    say "installing zip"
    install_package zip zip || fail "zip is needed for this comparison"
fi

if [ -z "$vf" ]; then
    use_cargo
    cargo build --release --locked -p videoframes-cli
    vf=$target/release/vf
fi

# 30 s of 1080p30 in H.264 with long groups of pictures and B-frames, the common hard case.
if [ -z "$clip" ]; then
    clip=$target/clips/bench-1080p30.mp4
    if [ ! -f "$clip" ]; then
        say "generating $(short "$clip")"
        mkdir -p "$target/clips"
        ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size=1920x1080:rate=30 -t 30 \
            -c:v libx264 -preset medium -crf 23 -g 250 -keyint_min 250 -sc_threshold 0 -bf 3 -pix_fmt yuv420p \
            -f mp4 "$clip.part"
        mv "$clip.part" "$clip"
    fi
fi
[ -f "$clip" ] || fail "no such clip: $clip"

mkdir -p "$target/bench"
scratch=$(mktemp -d "$target/bench/compare.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

python3 - "$vf" "$clip" "$scratch" "$rounds" "$(short "$clip")" <<'PYTHON'
import os, shutil, statistics, subprocess, sys, time, zipfile

vf, clip, scratch, rounds, name = sys.argv[1:]
rounds = int(rounds)
out = os.path.join(scratch, "out.zip")
frames = os.path.join(scratch, "frames")

VF = [vf, "extract", clip, "--fps", "1", "-o", out]
PEER = ["sh", "-c", """
ffmpeg -nostdin -v error -i "$1" -map 0:V:0 -vf "setpts=PTS-STARTPTS,fps=1:round=up" \
    -fps_mode passthrough -q:v 2 frames/%06d.jpg && zip -0 -q -r out.zip frames
""", "peer", clip]


def run(argv):
    """Runs a command from a clean directory: wall seconds, CPU seconds, peak MiB, images made."""
    shutil.rmtree(frames, ignore_errors=True)
    if os.path.exists(out):
        os.remove(out)
    if argv is PEER:
        os.mkdir(frames)
    start = time.perf_counter()
    child = subprocess.Popen(argv, cwd=scratch, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        child.returncode = 1
        sys.exit("error: %s failed:\n%s" % (argv[0], errors.decode(errors="replace")))
    child.returncode = 0
    # wait4 counts the child and every process below it that was waited for; its peak memory is that of
    # the largest one of them, in bytes on macOS and in KiB elsewhere.
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    with zipfile.ZipFile(out) as archive:
        images = sum(n.endswith((".jpg", ".jpeg", ".png", ".webp")) for n in archive.namelist())
    return wall, usage.ru_utime + usage.ru_stime, peak, images


run(VF)
run(PEER)
ours, peers = [], []
for i in range(rounds):
    # The order alternates, so that neither side always runs on the warmer machine.
    for argv, results in [(VF, ours), (PEER, peers)][:: 1 if i % 2 == 0 else -1]:
        results.append(run(argv))
    print("round %d/%d" % (i + 1, rounds), file=sys.stderr)

print("clip: %s, one frame a second, %d rounds after a warm-up" % (name, rounds))
print("images: vf %d, ffmpeg + zip %d%s"
      % (ours[0][3], peers[0][3], "" if ours[0][3] == peers[0][3] else "  (NOT the same work)"))
print()
print("| median            |       vf | ffmpeg + zip | vf / peer |")
print("|-------------------|---------:|-------------:|----------:|")
for column, label in enumerate(["wall, s", "CPU, s", "peak process, MiB"]):
    a = [r[column] for r in ours]
    b = [r[column] for r in peers]
    ratio = statistics.median(x / max(y, 1e-9) for x, y in zip(a, b))
    print("| %-17s | %8.3f | %12.3f | %9.2f |" % (label, statistics.median(a), statistics.median(b), ratio))
PYTHON
