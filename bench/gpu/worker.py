"""Parts in processes of their own: what fails, hangs or loses the device costs one row.

A part is a module with

    PATIENCE                seconds that one row may take
    names(options)          the rows, in order; needs no GPU
    run(name, options)      a generator of Row objects

The parent gives a child the names that are left, reads a line for each event, and starts another
child behind the row that killed it. Results come as they are found, so nothing is lost.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import asdict

from bench.child import ROOT, one_line
from bench.gpu.outcomes import ABSENT, FAILED, UNTRIED, NotAvailable, without
from bench.rows import Row
from selscan import BackendUnavailable


def run_part(module, options, seconds, record, log=None):
    """Give record(row) every Row of a part; rows that fail or are left out say so in their note."""
    part = importlib.import_module(module)
    left, deadline = list(part.names(options)), time.monotonic() + seconds
    while left:
        if time.monotonic() >= deadline:
            for name in left:
                record(without(name, f"{UNTRIED}the part's {seconds:.0f} s were over"))
            return
        left = _one_child(module, left, options, part.PATIENCE, deadline, record, log)


def _one_child(module, names, options, patience, deadline, record, log):
    """Rows from one child; the names that are left for another."""
    left, running = list(names), None
    child = Child({"module": module, "names": names, "options": options}, log)
    try:
        while True:
            limit = min(deadline, time.monotonic() + patience)
            event = child.event(limit)
            if event is None:
                break
            if "row" in event:
                record(Row(**event["row"]))
            elif "begin" in event:
                running = event["begin"]
            else:
                if event["note"]:
                    record(without(running, event["note"]))
                left.remove(running)
                running = None
    finally:
        status = child.end()
    if not left or (status is None and time.monotonic() >= deadline):
        return left  # the caller says of each that time was up
    reason = f"took over {patience} s" if status is None else f"the process ended with {status}"
    if running or status is None:
        record(without(left.pop(0), FAILED + reason))
    elif len(left) == len(names):
        return _give_up(left, reason, record)
    return left


def _give_up(names, reason, record):
    """A child that ends before its first row would do so again."""
    record(without(names[0], FAILED + reason))
    for name in names[1:]:
        record(without(name, UNTRIED + reason))
    return []


class Child:
    """A process that runs rows of a part; its events come through a pipe."""

    def __init__(self, request, log):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.gpu.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            text=True,
            start_new_session=True,  # its children end with it
        )
        self._events, self._closed = queue.Queue(), False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            json.dump(request, pipe)

    def _read(self):
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def event(self, deadline):
        """The next event; None at the end, or when there is none until then."""
        try:
            found = self._events.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        self._closed = found is None
        return found

    def end(self):
        """The exit status; None where it had to be ended."""
        status = None
        if self._closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)  # one that waits for a lost GPU may stay
        self._reader.join(1)
        if not self._reader.is_alive():
            self._process.stdout.close()
        return status


def main():
    """The child: events go to what was standard output; all else that is printed to the log."""
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)

        def say(**event):
            print(json.dumps(event), file=pipe, flush=True)

        part = importlib.import_module(request["module"])
        for name in request["names"]:
            say(begin=name)
            try:
                for row in part.run(name, request["options"]):
                    say(row=asdict(row))
                note = ""
            except (BackendUnavailable, NotAvailable) as error:
                note = ABSENT + str(error).removeprefix("selscan: ")
            except Exception as error:  # other people's code, and ours: a line of the table
                traceback.print_exc()
                note = FAILED + one_line(error)
            say(end=name, note=note)
            if note.startswith(FAILED) and device_is_lost():
                os._exit(3)  # a context that failed once fails for ever; another process goes on


def device_is_lost():
    """Whether CUDA, if it is in use, answers every call with an error from now on."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return True
    return False


if __name__ == "__main__":
    main()
