"""Speed, memory, certificates and energy of each implementation on one small layer."""

from __future__ import annotations

import json
from statistics import median

from .engine import TIMEOUT, ask, attnbench, chosen, ratio, reasoned, rows, skipped, values

LENGTH = "512"


class Speed:
    """Seconds a call as a ratio to the reference's in the same launches, three of them; certificates."""

    params = (chosen(),)
    param_names = ("implementation",)
    timeout = TIMEOUT
    version = "1"

    def setup_cache(self) -> str:
        """One run of the commit's engine for all that is followed here."""
        return ask("speed", ("throughput",), ("--profile", "quick", "--lengths", LENGTH), chosen())

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    @reasoned
    def track_forward(self, folder: str, implementation: str) -> float:
        """One call of a layer."""
        return ratio(folder, implementation, f"layer/forward/{LENGTH}")

    @reasoned
    def track_train_step(self, folder: str, implementation: str) -> float:
        """One training step of a layer."""
        return ratio(folder, implementation, f"layer/train_step/{LENGTH}")

    @reasoned
    def track_model_train_step(self, folder: str, implementation: str) -> float:
        """One training step of an encoder of two blocks."""
        return ratio(folder, implementation, f"encoder/train_step/{LENGTH}")

    @reasoned
    def track_properties_refuted(self, folder: str, implementation: str) -> float:
        """Properties of the certificate that a counterexample was found to."""
        found = rows(folder, implementation, "certificate")
        return float(len([row for row in found if row["status"] == "failed"]))

    @reasoned
    def track_properties_unproven(self, folder: str, implementation: str) -> float:
        """How many fewer properties hold than the certificate asks for: refuted, or not checked."""
        found = rows(folder, implementation, "certificate")
        return float(len([row for row in found if row["status"] != "ok"]))

    for _track in (track_forward, track_train_step, track_model_train_step):
        _track.unit = "ratio"  # type: ignore[attr-defined]
    for _track in (track_properties_refuted, track_properties_unproven):
        _track.unit = "properties"  # type: ignore[attr-defined]


class Memory:
    """Peak over what stood before, in a process of its own, as the engine measures it."""

    params = (chosen(),)
    param_names = ("implementation",)
    timeout = TIMEOUT
    version = "1"
    unit = "bytes"

    def setup_cache(self) -> str:
        """One run of the commit's engine for all that is followed here."""
        return ask("memory", ("memory",), ("--profile", "smoke", "--lengths", LENGTH), chosen())

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    @reasoned
    def track_forward(self, folder: str, implementation: str) -> float:
        """One call of a layer."""
        return self._peak(folder, implementation, "forward")

    @reasoned
    def track_train_step(self, folder: str, implementation: str) -> float:
        """One training step of a layer."""
        return self._peak(folder, implementation, "train_step")

    def _peak(self, folder: str, implementation: str, phase: str) -> float:
        found = rows(folder, implementation, "memory", "peak_bytes", f"layer/{phase}/{LENGTH}")
        return median(value for taken in values(found) for value in taken)


class Energy:
    """Joules a call where a counter measures them: modelled energy is time once more, and is not followed."""

    params = (chosen(),)
    param_names = ("implementation",)
    timeout = TIMEOUT
    version = "1"
    unit = "J"

    def setup_cache(self) -> str:
        """One run of the commit's engine, where the machine has a counter; otherwise the reason stands in
        the folder's name place: nothing is run for minutes that no figure comes of."""
        lacking = _no_counter()
        if lacking:
            return f"{_LACKING}{lacking}"
        return ask("energy", ("energy",), ("--profile", "smoke", "--lengths", LENGTH), chosen())

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    @reasoned
    def track_joules(self, folder: str, implementation: str) -> float:
        """Processor and accelerator, one call of a layer."""
        if folder.startswith(_LACKING):
            skipped(folder.removeprefix(_LACKING))
        found = rows(folder, implementation, "energy", "joules", f"layer/forward/{LENGTH}")
        if any(row["method"] not in ("measured", "sampled") for row in found):
            skipped("energy is modelled here: a constant times time")
        return median(value for taken in values(found) for value in taken)


_LACKING = "none: "


def _no_counter() -> str:
    """Why no energy can be measured here, as the commit's doctor says it; empty where it can."""
    done = attnbench("doctor", "--json")
    if done.returncode:
        return f"attnbench doctor ended with {done.returncode}"
    found = {row["subject"]: row for row in json.loads(done.stdout)}
    energy = found.get("energy")
    if energy is None:
        return "this commit's doctor knows nothing of energy"
    return "" if energy["able"] else str(energy["finding"])
