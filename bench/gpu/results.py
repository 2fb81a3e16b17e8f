"""What a run found, on disk after every row: result.json, and report.md made of it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import selscan
from bench.rows import Row, environment, version

ROOT = Path(__file__).parents[1] / "results"
FORMAT = 1
LIBRARIES = (
    "cupy-cuda13x",
    "cupy-cuda12x",
    "triton",
    "mamba-ssm",
    "nvidia-cuda-nvrtc",
    "ml_dtypes",
)
WATCHED = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu"


def default_folder():
    """bench/results/<name of the first GPU>."""
    name = smi("name") or ["no gpu"]
    return ROOT / re.sub(r"\W+", "-", name[0].lower()).strip("-")


def smi(what):
    """What nvidia-smi says of each GPU, a line each; none where it does not run."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def source():
    """A hash of the package's files, as a copy of a clone may have no commit."""
    digest = hashlib.sha256()
    for path in sorted(Path(selscan.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".cu", ".cuh"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Results:
    """Rows by part; the file is whole at any time, whatever ends this process."""

    def __init__(self, folder, command=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        found = (f"{name} {version(name)}" for name in LIBRARIES if version(name) != "-")
        self.rows = []
        self.head = {
            "format": FORMAT,
            "command": list(command),
            **environment(),
            "source": source(),
            "python": sys.version.split()[0],
            "cuda_versions": " ".join(found),
            "gpus": smi(WATCHED),
            "clocks": {},
        }
        self.write()

    def record(self, part, row):
        """Keep a row, now."""
        self.rows.append({"part": part} | asdict(row))
        self.write()

    def pairs(self):
        """The (part, Row) pairs so far."""
        return [pair_of(row) for row in self.rows]

    def watch(self, part):
        """Keep the GPU's clocks and temperature after a part."""
        self.head["clocks"][part] = smi("clocks.sm,clocks.mem,temperature.gpu,power.draw")
        self.write()

    def write(self):
        write_whole(
            self.folder / "result.json", json.dumps(self.head | {"rows": self.rows}, indent=1)
        )


def write_whole(path, text):
    """Replace a file at once."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)


def read(path):
    """The head and the (part, Row) pairs of a result.json."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    rows = found.pop("rows")
    return found, [pair_of(row) for row in rows]


def pair_of(row):
    """The part of a row, and the Row."""
    return row["part"], Row(**{name: value for name, value in row.items() if name != "part"})
