"""torch's own view of a call's memory: the profiler's allocations on a CPU, the allocator's on CUDA."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def allocation_peak(call: Callable[[], object]) -> int | None:
    """Highest sum of bytes that torch held allocated during the call beyond what it held before.

    None where the profiler recorded no allocation at all.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        answer = call()
        del answer
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest or None


def device_peak(call: Callable[[], object]) -> tuple[int, int]:
    """Bytes allocated at the peak beyond the level before the call, and bytes reserved, on CUDA."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    answer = call()
    torch.cuda.synchronize()
    del answer
    return torch.cuda.max_memory_allocated() - before, torch.cuda.max_memory_reserved()
