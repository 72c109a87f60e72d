"""Writes the recorded package and DRAM into a powercap folder as time passes, for real workers:
``python replay.py FOLDER [SECONDS]``, and then ``ATTNBENCH_POWERCAP=FOLDER attnbench …``.

With ``PYTHONPATH=tests/standin/replayed_nvml`` the module `pynvml` there replays a recorded GPU.
"""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from counters import Recording

RECORDED = Path(__file__).parent / "recorded"
ZONES = {"intel-rapl:0": ("package-0", "package.json"), "intel-rapl:0:0": ("dram", "dram.json")}
WRITE_SECONDS = 0.005


def put(path: Path, text: str) -> None:
    """At once, so that nobody reads half a number."""
    new = path.with_suffix(".new")
    new.write_text(text + "\n")
    new.replace(path)


def main(root: Path, seconds: float) -> None:
    streams: dict[Path, Recording] = {}
    for zone, (name, recorded) in ZONES.items():
        stream = Recording.load(RECORDED / recorded)
        (root / zone).mkdir(parents=True, exist_ok=True)
        put(root / zone / "name", name)
        put(root / zone / "max_energy_range_uj", str(stream.span))
        streams[root / zone / "energy_uj"] = stream
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        for path, stream in streams.items():
            put(path, str(stream.reading(passed)))
        time.sleep(WRITE_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else float("inf"))
