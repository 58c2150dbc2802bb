"""Checks the invariant of the job protocol from outside: from the notifications, the bucket and the rows alone."""

import hashlib
import io
import zipfile
from botocore.exceptions import ClientError

TERMINAL = {"completed", "failed", "cancelled"}
PICTURES = (".jpg", ".png", ".webp")


def archive_problem(store, bucket, key, sha256, frames):
    """Returns why an object is not the archive of a row, or `None`."""
    try:
        data = store.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        return f"{key}: {error.response['Error']['Code']}"
    if hashlib.sha256(data).hexdigest() != sha256:
        return f"{key}: another checksum than in the row"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            damaged = archive.testzip()
            pictures = sum(name.endswith(PICTURES) for name in archive.namelist())
    except zipfile.BadZipFile as error:
        return f"{key}: {error}"
    if damaged:
        return f"{key}: '{damaged}' is damaged"
    if pictures != frames:
        return f"{key}: {pictures} pictures instead of {frames}"
    return None


def row_problems(row, events, store, bucket):
    """Yields the violations of the invariant by an existing job."""
    job = row["id"]
    if row["status"] not in TERMINAL:
        yield f"{job}: {row['status']} is not terminal"
        return
    terminal = {event["id"] for event in events}
    if len(terminal) != 1:
        yield f"{job}: {len(terminal)} terminal events instead of one"
    if any(event["data"]["status"] != row["status"] for event in events):
        yield f"{job}: the row is {row['status']}, and an event has another status"
    if row["status"] == "completed":
        problem = archive_problem(store, bucket, row["result_key"], row["result_sha256"], row["result_frames"])
        if problem:
            yield f"{job}: {problem}"


def has_result(job, store, bucket):
    """Returns the key of an object of a job, or `None`."""
    found = store.list_objects_v2(Bucket=bucket, Prefix=f"results/{job}/", MaxKeys=1).get("Contents", [])
    return found[0]["Key"] if found else None


def unknowable(lost, rows, events, store, bucket):
    """Returns the jobs that nothing can bring back: without a row, an object or a message. For each, returns what clients know.

    lost: IDs of jobs that may be unknown. The caller has found the queue of the workers empty: a message would have rebuilt the row.
    """
    known = {row["id"] for row in rows}
    named = {}
    for job in lost:
        if job not in known and not has_result(job, store, bucket):
            reported = [event["data"]["status"] for event in events if event["data"]["job_id"] == job]
            named[job] = f"reported as {reported[-1]}" if reported else "never reported"
    return named


def problems(accepted, lost, rows, events, store, bucket):
    """Yields the violations of the invariant.

    accepted: IDs of jobs that have to exist. lost: IDs of jobs that may be unknown, if they left no trace. rows: the table of
    jobs. events: all notifications ever sent.
    """
    rows = {row["id"]: row for row in rows}
    by_job = {}
    for event in events:
        by_job.setdefault(event["data"]["job_id"], []).append(event)
    for job in accepted:
        if job not in rows:
            yield f"{job}: accepted, but unknown"
    for row in rows.values():
        yield from row_problems(row, by_job.get(row["id"], []), store, bucket)
    for job in lost:
        if job in rows:
            continue
        # A failed or cancelled job has no object, and its message is deleted.
        if any(event["data"]["status"] == "completed" for event in by_job.get(job, [])):
            yield f"{job}: reported as completed, but unknown"
        result = has_result(job, store, bucket)
        if result:
            yield f"{job}: unknown, but has the result {result}"
    # No archive that a client knows from a notification may be deleted.
    for event in events:
        result = event["data"].get("result")
        if result:
            problem = archive_problem(store, result["bucket"], result["key"], result["sha256"], result["frames"])
            if problem:
                yield f"{event['data']['job_id']}: reported as completed: {problem}"
