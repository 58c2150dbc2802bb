"""A service of tasks on loopback: an autoscaler, and the agent of ECS that keeps the scale-in protection of each task."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Time after SIGTERM until a task is killed.
STOP_TIMEOUT = 30


class Tasks:
    """Runs workers as tasks. `start(name, agent)` starts one, with the address of its agent."""

    def __init__(self, start):
        self.start = start
        self.tasks, self.stopping, self.number, self.refused = {}, [], 0, 0
        # Task, and time at which its protection ends.
        self.protected = {}
        tasks = self

        class Agent(BaseHTTPRequestHandler):
            def do_PUT(self):
                tasks.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Agent)
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request):
        name = request.path.split("/")[1]
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if body["ProtectionEnabled"]:
            self.protected[name] = time.monotonic() + 60 * body["ExpiresInMinutes"]
        else:
            self.protected.pop(name, None)
        data = json.dumps({"protection": {"ProtectionEnabled": body["ProtectionEnabled"]}}).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def scale(self, size, seconds):
        """Reaches a number of tasks, and then waits."""
        while len(self.tasks) < size:
            self.number += 1
            name = f"task-{self.number}"
            self.tasks[name] = self.start(name, f"http://127.0.0.1:{self.http.server_address[1]}/{name}")
        end = time.monotonic() + 120
        while len(self.tasks) > size:
            # ECS stops the tasks that are not protected, and returns to the others later.
            for name in list(self.tasks)[: len(self.tasks) - size]:
                if self.protected.get(name, 0) > time.monotonic():
                    self.refused += 1
                    continue
                worker = self.tasks.pop(name)
                worker.process.terminate()
                self.stopping.append((name, worker, time.monotonic() + STOP_TIMEOUT))
            if time.monotonic() > end:
                sys.exit(f"error: {len(self.tasks)} tasks are protected for two minutes")
            time.sleep(0.5)
        self.reap()
        time.sleep(seconds)

    def reap(self):
        """Waits for the tasks that stop; a task that does not stop in time would be killed."""
        for name, worker, kill_at in self.stopping:
            try:
                code = worker.process.wait(max(kill_at - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                sys.exit(f"error: {name} does not stop within {STOP_TIMEOUT} s")
            if code:
                sys.exit(f"error: {name}: exit code {code}")
            if name in self.protected:
                sys.exit(f"error: {name} ended and kept its protection")
        self.stopping.clear()
