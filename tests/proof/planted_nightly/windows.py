"""Times and peaks as asv takes them, and its best case: the ratio to softmax in the same process."""

from statistics import median
from time import perf_counter

import torch

from implementations.on_torch.layer import build_layer
from implementations.on_torch.linear import Linear
from implementations.on_torch.sliding_window import SlidingWindow
from implementations.on_torch.softmax import attend

TURNS = 40
LAYERS = {"softmax": attend, "sliding_window": SlidingWindow, "linear": Linear}


class Forward:
    """A bare layer at length 1,024, width 512, 8 heads, on one thread: the gate's cell."""

    params = ("sliding_window", "linear")
    param_names = ("variant",)
    timeout = 120

    def setup(self, variant: str) -> None:
        """The layer, warm."""
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.tokens = torch.randn(1, 1024, 512)
        self.layers = {
            name: build_layer(
                LAYERS[name], width=512, heads=8, causal=False, max_length=1024, options={}
            ).eval()
            for name in ("softmax", variant)
        }
        for name in self.layers:
            self._call(name)

    def _call(self, name: str) -> None:
        with torch.inference_mode():
            self.layers[name](self.tokens)

    def time_forward(self, variant: str) -> None:
        """Seconds, by asv's own sampling."""
        self._call(variant)

    def peakmem_forward(self, variant: str) -> None:
        """The process's peak, which holds torch itself."""
        self._call(variant)

    def track_ratio(self, variant: str) -> float:
        """Median ratio to softmax, call by call in turns."""
        return median(self._seconds(variant) / self._seconds("softmax") for _ in range(TURNS))

    def _seconds(self, name: str) -> float:
        start = perf_counter()
        self._call(name)
        return perf_counter() - start
