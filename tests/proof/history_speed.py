"""A million made-up measurements through `attnbench history`: ``tests/proof/history_speed.py [FOLDER]``.

90 nights of 46 implementations on 30 kinds of work in 8 launches of 15 blocks, 800 MB of JSON lines, are made
up in the folder (a temporary one by default; 40 s), then loaded and drawn twice in fresh processes: with no
cache, and with the caches of the first. Promised are 10 s each; exit code 1 where it is not kept.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "standin"))

from nightly import MadeUpNights

PROMISED = 10.0
NIGHTS, VARIANTS, LAUNCHES, BLOCKS = 90, 45, 8, 15
KINDS = ("layer/forward", "layer/train_step", "causal_layer/decode")
STEPS = {("variant_3", 40): 1.03, ("variant_9", 61): 0.95}


def make(folder: Path) -> int:
    """Write the runs that are not there yet; answers how many measurements there are."""
    subjects = tuple(f"{kind}/{2**power}" for kind in KINDS for power in range(4, 14))
    variants = tuple(f"variant_{number}" for number in range(VARIANTS))
    if not (folder / f"night-{NIGHTS - 1:03d}").exists():
        MadeUpNights(
            nights=NIGHTS,
            variants=variants,
            subjects=subjects,
            launches=LAUNCHES,
            blocks=BLOCKS,
            steps=STEPS,
            upgraded=70,
        ).write(folder)
    return NIGHTS * (len(variants) + 1) * len(subjects) * LAUNCHES


def _processor_seconds() -> float:
    """What the processes started so far have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        count = make(folder)
        for cache in folder.glob("*/history.parquet"):
            cache.unlink()
        broken = False
        for what in ("without caches", "with caches"):
            start, used = time.perf_counter(), _processor_seconds()
            command = [sys.executable, "-P", "-m", "bench.cli", "history", str(folder), "--quiet"]
            subprocess.run([*command, "--out", str(Path(temporary) / "page")], check=True)
            taken = time.perf_counter() - start
            broken |= taken > PROMISED
            used = _processor_seconds() - used
            print(
                f"{count:,} measurements loaded and drawn {what}: {taken:.1f} s (promised: {PROMISED:.0f}), "
                f"{used:.1f} s of a processor"
            )
    sys.exit(broken)


if __name__ == "__main__":
    main()
