"""Change points in a nightly series: which night a step happened, found within a few nights.

`find_steps` walks through series of values, `changes` through nights that carry commits and environments.
"""

from bench.changes.nights import Change, Night, changes
from bench.changes.walk import Step, find_steps

__all__ = ["Change", "Night", "Step", "changes", "find_steps"]
