"""Processes that form a group of torch.distributed, and do what they are told until the end.

In each of them runs worker.py; what they can be told are the functions of jobs.py and training.py.
Four processes serve groups of two, three and four of them.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 90  # seconds for one job; kernels may have to be compiled
START = 120


class Ranks:
    """Some processes; `timeout` is that of their group, in seconds."""

    def __init__(self, size, timeout=30, **environment):
        self.folder = tempfile.TemporaryDirectory()
        self.processes, self.pipes, self.logs = [], [], []
        # One thread each, and no address but the machine's own.
        environment = {
            "NUMBA_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE.parent}",
        } | environment
        for rank in range(size):
            own, other = Pipe()
            log = Path(self.folder.name, f"log{rank}").open("w+")  # noqa: SIM115
            command = [sys.executable, HERE / "worker.py", str(other.fileno()), str(rank)]
            command += [str(size), str(timeout), str(Path(self.folder.name, "meeting"))]
            with other:
                process = subprocess.Popen(
                    command,
                    pass_fds=[other.fileno()],
                    env=os.environ | environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder.name,
                )
            self.processes.append(process)
            self.pipes.append(own)
            self.logs.append(log)

    def start(self):
        """Wait until all are there."""
        self._results(range(len(self.pipes)), START)
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def run(self, job, size=None, *, each=(), patience=PATIENCE, **arguments):
        """What a job returns on every rank of the group of the first `size`.

        `each` has further arguments for each rank. A job that fails on a rank fails here, and ends
        all processes: nobody knows what the others wait for.
        """
        results = self.outcomes(job, size, each=each, patience=patience, **arguments)
        wrong = [f"rank {i}: {x}" for i, (fine, x) in enumerate(results) if not fine]
        if wrong:
            self.close()
            raise AssertionError("\n".join(wrong))
        return [x for _, x in results]

    def outcomes(self, job, size=None, *, each=(), patience=PATIENCE, **arguments):
        """(True, result) or (False, error) of every rank."""
        ranks = range(size or len(self.pipes))
        try:
            for i in ranks:
                own = arguments | (each[i] if each else {})
                self.pipes[i].send_bytes(pickle.dumps((job, len(ranks), own)))
            return self._results(ranks, patience)
        except BaseException:
            self.close()
            raise

    def _results(self, ranks, patience):
        end, results = time.monotonic() + patience, []
        for i in ranks:
            try:
                if not self.pipes[i].poll(max(0, end - time.monotonic())):
                    raise AssertionError(f"rank {i} has not answered in {patience} s{self.log(i)}")
                results.append(pickle.loads(self.pipes[i].recv_bytes()))
            except (EOFError, ConnectionError):
                code = self.processes[i].wait()
                results.append((False, f"the process has ended with {code}{self.log(i)}"))
        return results

    def log(self, i):
        self.logs[i].seek(0)
        text = self.logs[i].read().strip()
        return f":\n{text}" if text else ""

    @property
    def closed(self):
        return not self.processes

    def close(self):
        """End the processes, whatever they do."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        for file in (*self.pipes, *self.logs):
            file.close()
        self.processes, self.pipes, self.logs = [], [], []
        self.folder.cleanup()
