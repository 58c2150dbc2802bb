"""Screenshots of the jobs page for the documentation, with jobs of a local worker.

docs/images/ has the pictures with a palette, since each is smaller than 120 kB then.
"""

import shutil
import sqlite3
from pathlib import Path

from drill import run, wait

FOLDER = "lectures/2026"
# Name of the video, and minutes since its submission.
COMPLETED = [("opening-keynote.mp4", 64), ("signal-processing-07.mp4", 58), ("panel-open-codecs.mp4", 51), ("robotics-lab-tour.mp4", 44),
             ("compilers-03-parsing.mp4", 37), ("thesis-defence-okafor.mp4", 33), ("linear-algebra-12.mp4", 21),
             ("interview-dr-lindqvist.mp4", 17), ("astronomy-colloquium.mp4", 9), ("graphics-05-shading.mp4", 4)]
# Frames per second: the second video has more progress than the first at the same time.
LONG = {"distributed-systems-09.mp4": 3, "conference-day-2-hall-b.mp4": 12}
PENDING = ["operating-systems-11.mp4", "museum-night-recording.mp4", "closing-ceremony.mp4"]
FEATURED = "big-buck-bunny.mp4"


def requests(clip, audio, source):
    """Returns the requests by name of the video, oldest first. Some fail, each for another reason."""
    plain = {"selection": {"fps": 2}, "picture": {"max_width": 640}}
    failures = {
        "chemistry-demo-02.mp4": (54, clip[:len(clip) * 3 // 5], plain),
        "slides-week-03.mp4": (41, b"%PDF-1.7 slides", plain),
        "slides-week-02.mp4": (71, b"%PDF-1.7 slides", plain),
        "slides-week-01.mp4": (72, b"%PDF-1.7 slides", plain),
        "chemistry-demo-01.mp4": (69, clip[:len(clip) // 2], plain),
        "alumni-evening.mp4": (29, audio, plain),
        "statistics-lecture-04.mp4": (12, clip, {"selection": {"at": ["5400"]}}),
    }
    wanted = [(minutes, name, clip, plain) for name, minutes in COMPLETED]
    wanted += [(minutes, name, content, body) for name, (minutes, content, body) in failures.items()]
    for minutes, name, content, body in sorted(wanted, key=lambda each: -each[0]):
        yield minutes, name, content, {"source": source(name), **body}


def submit(worker, folder, clip):
    """Submits all jobs, and returns the ID of the job with all outputs."""
    objects = Path(folder, "objects", FOLDER)
    objects.mkdir(parents=True)
    content = clip.read_bytes()
    run("ffmpeg", "-nostdin", "-v", "error", "-i", str(clip), "-vn", "-c", "copy", f"{folder}.audio.mp4")
    run("ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "80", "-i", str(clip), "-an", "-c", "copy", f"{folder}.long.mp4")

    def source(name):
        return {"key": f"{FOLDER}/{name}"}

    def ended(number):
        unfinished = "jobs?status=pending,processing,retry_wait"
        wait(f"{number} jobs end", lambda: not worker.request(unfinished)["jobs"], 120)

    ages = {}
    for minutes, name, video, body in requests(content, Path(f"{folder}.audio.mp4").read_bytes(), source):
        (objects / name).write_bytes(video)
        ages[worker.request("jobs", body)["id"]] = minutes
    ended(len(ages))
    (objects / FEATURED).write_bytes(content)
    featured = worker.request("jobs", {
        "source": source(FEATURED), "selection": {"count": 10}, "picture": {"format": "avif"},
        "client_metadata": {"course": "film-101"}})["id"]
    ages[featured] = 0
    # Two attempts: AVIF is slow enough for a cancellation.
    wait("the job starts", lambda: worker.request(f"jobs/{featured}")["status"] != "pending", 60)
    worker.request(f"jobs/{featured}/cancel", {})
    ended(len(ages))
    worker.request(f"jobs/{featured}/retry", {})
    ended(1)
    for name, rate in [*LONG.items(), *((name, 1) for name in PENDING)]:
        shutil.copyfile(f"{folder}.long.mp4", objects / name)
        worker.request("jobs", {"source": source(name), "selection": {"fps": rate}, "picture": {"format": "png", "max_width": 960}})
    last = worker.request(f"jobs?text={PENDING[-1]}")["jobs"][0]["id"]
    kept = worker.request(f"jobs?text={COMPLETED[0][0]}")["jobs"][0]["id"]
    worker.request(f"jobs/{kept}/keep", {})
    worker.request(f"jobs/{last}/cancel", {})
    spread(Path(folder, "videoframes.sqlite"), ages)
    wait("a job is half done", lambda: any(job["frames_done"] > 0.45 * (job["frames_total"] or 1e9)
         for job in worker.request("jobs?status=processing")["jobs"]), 180)
    return featured


def spread(database, ages):
    """Moves the times of jobs to the past, as if the jobs had been submitted over an hour."""
    columns = ("created_at", "begun_at", "finished_at")
    moved = ", ".join(f"{column} = {column} - :age" for column in columns)
    with sqlite3.connect(database, timeout=30) as connection:
        for job, minutes in ages.items():
            names = {"age": minutes * 60_000, "text": job, "bytes": bytes.fromhex(job.replace("-", ""))}
            connection.execute(f"UPDATE video_jobs SET {moved} WHERE id IN (:text, :bytes)", names)


def take(browser, worker, featured, folder):
    """Writes the screenshots of the views."""
    def shot(name, route, ready, height, theme="light", size="desktop", prepare=lambda page: None):
        page = browser.page(theme, size)
        page.set_viewport_size({**page.viewport_size, "height": height})
        page.goto(f"{worker.base}/{route}")
        page.locator(ready).first.wait_for()
        prepare(page)
        # The pictures load, and bars move to their place.
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / f"{name}.png")
        page.context.close()

    for theme, suffix in (("light", ""), ("dark", "-dark")):
        shot(f"jobs-page{suffix}", "#/jobs", ".jobs .badge.active", 878, theme)
        shot(f"job-page{suffix}", f"#/jobs/{featured}", ".thumb img", 860, theme)
    shot("overview-page", "#/", ".worker", 600)
    shot("submit-page", "#/submit", ".drop", 800, size="phone", prepare=choose)


def choose(page):
    files = [{"name": name, "mimeType": "video/mp4", "buffer": b"\0" * size}
             for name, size in (("guest-lecture-moreau.mp4", 8_400_000), ("lab-recording-14.mp4", 3_100_000), ("poster-session.mov", 5_700_000))]
    page.locator("#file-input").set_input_files(files)
