"""flash-linear-attention: its plain-torch forms of linear attention, retention, GLA and gated DeltaNet.

    S_t = decay(S_{t-1}) + k_t v_t^T,  out_t = q_t^T S_t / sqrt(d)

The package itself needs Triton and a GPU, and cannot be imported without; its `naive.py` files need
neither, and are loaded by their paths. Of each operation the fastest plain-torch form is taken: chunks of
64 for linear attention, retention (as the package's simple gated linear attention with a fixed gate) and
the gated delta rule; for GLA a loop over positions is all there is.
"""

import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch import gated_delta, gated_linear, retention
from implementations.on_torch.decoding import State
from implementations.on_torch.peers.refusals import refuse_padding
from implementations.on_torch.recurrent_layer import Parts
from implementations.on_torch.visibility import require_equal_lengths

PACKAGE = "flash-linear-attention"
_CHUNK = 64


@cache
def naive(operation: str) -> ModuleType:
    """The module ``fla/ops/OPERATION/naive.py``. Raises ModuleNotFoundError where the package is absent."""
    package = importlib.util.find_spec("fla")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"there is no module 'fla': install {PACKAGE}", name="fla")
    path = Path(next(iter(package.submodule_search_locations))) / "ops" / operation / "naive.py"
    name = f"attnbench_fla_{operation}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModuleNotFoundError(f"{PACKAGE} has no {path}: another release than 0.5", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def attend_linearly(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Linear attention with our features (elu + 1) and their sums, normalised; causal only, no padding.

    Zeros fill the last chunk of 64, which their code needs whole. Raises NotImplementedError otherwise,
    ValueError with unequal lengths.
    """
    refuse_padding(PACKAGE, padding)
    if not causal:
        raise NotImplementedError(f"{PACKAGE} is recurrent in one direction: build it with causal=True")
    require_equal_lengths(query, key, "causal attention")
    length = query.shape[2]
    features = (functional.elu(query) + 1, functional.elu(key) + 1, value)
    filled = (functional.pad(part, (0, 0, 0, -length % _CHUNK)).transpose(1, 2) for part in features)
    mixed: Tensor = naive("linear_attn").naive_chunk_linear_attn(*filled, scale=1.0, normalize=True)
    return mixed[:, :length].transpose(1, 2)


class Retention(retention.Retention):
    """Our layer around their sums: projections, rotation, gate and norm are ours, `_whole` is theirs."""

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value = (part.transpose(1, 2) for part in parts)
        rates = torch.tensor(retention.decay_rates(self.heads), dtype=query.dtype, device=query.device)
        fixed = rates.log().expand(query.shape[:3])
        mixed, sums = naive("simple_gla").naive_chunk_simple_gla(
            query, key, value, fixed, scale=1.0, output_final_state=True
        )
        return mixed.transpose(1, 2), sums


class ParallelRetention(retention.Retention):
    """The same with the package's own `naive_retention`, which builds all scores and keeps no state."""

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value = parts
        # Theirs divides by sqrt(d) once more, as ours has already done.
        mixed: Tensor = naive("retention").naive_retention(query * math.sqrt(query.shape[-1]), key, value)
        return mixed, query.new_zeros(0)

    def prefill(self, tokens: Float[Tensor, "batch time width"]) -> tuple[Tensor, State]:
        """Raises NotImplementedError: there is no state to go on from."""
        raise NotImplementedError(f"{PACKAGE}'s naive_retention keeps no state; use fla-retention to decode")


class GatedLinear(gated_linear.GatedLinear):
    """Our layer around their recurrence, a loop over positions."""

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, decay = (part.transpose(1, 2) for part in parts)
        scaled = query * math.sqrt(query.shape[-1])  # theirs divides by it, which ours leaves to the norm
        log_decay = decay.log()  # theirs takes its exponential at each position
        mixed, sums = naive("gla").naive_recurrent_gla(scaled, key, value, log_decay, output_final_state=True)
        return mixed.transpose(1, 2), sums


class GatedDelta(gated_delta.GatedDelta):
    """Our layer around their chunks, inside which they solve the triangular system row by row."""

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, strength, log_decay = (part.transpose(1, 2) for part in parts)
        mixed, sums = naive("gated_delta_rule").naive_chunk_gated_delta_rule(
            query, key, value, g=log_decay, beta=strength, scale=1.0, output_final_state=True
        )
        return mixed.transpose(1, 2), sums
