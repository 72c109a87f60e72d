"""Prints true and reported joules of fake counters as Markdown: ``python tests/proof/fake_counters.py``."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "standin")]
from counter_cases import table  # noqa: E402  it lies beside the other stand-ins

if __name__ == "__main__":
    print(table())
