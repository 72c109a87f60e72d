"""The gated delta rule over a whole sequence, in chunks.

    S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T,   mixed_t = S_t^T q_t

With a_t the sum of log alpha in the chunk up to t, and S the state before the chunk:

    S_t = exp(a_t) S + sum over i <= t of exp(a_t - a_i) k_i u_i^T
    (I + L) U = Diag(beta) (V - Diag(exp(a)) K S),   L_ij = beta_i exp(a_i - a_j) k_i . k_j for j < i

U is therefore Y - W S, both from one triangular system a chunk, solved for all chunks at once, and a chunk's
last state is a matrix times its first plus another: the sum that `carried_by_matrix` takes over
the chunks. Time n d (c + d), memory n (c + d) + n d^2 / c for chunks of c. Paper: Yang and others 2024,
arXiv:2412.06464, section 3.3 (the WY form extended to gates).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from implementations.on_torch.chunk_states import carried_by_matrix, chunk_for, chunked, joined

CHUNK = 64


def delta_product(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time value_width"],
    strength: Float[Tensor, "batch heads time"],
    log_decay: Float[Tensor, "batch heads time"],
    chunk: int = CHUNK,
) -> tuple[
    Float[Tensor, "batch heads time value_width"], Float[Tensor, "batch heads head_width value_width"]
]:
    """Each token's mixture, and the state after the last.

    `strength` is beta and `log_decay` log alpha, at most 0; both are 0 for a token that changes nothing.
    """
    length = value.shape[2]
    size = chunk_for(length, chunk)
    queries, keys, values = (chunked(part, size) for part in (query, key, value))
    betas, logs = (chunked(part[..., None], size) for part in (strength, log_decay))
    fading = _fading(logs)
    start, end = logs.cumsum(dim=3).exp(), fading[:, :, :, -1, :, None]
    own, of_state = _corrections(keys, values, betas, start, fading)
    leaving = (keys * end).transpose(-2, -1)
    kept = torch.eye(key.shape[-1], dtype=key.dtype, device=key.device) * start[:, :, :, -1:]
    before, after = carried_by_matrix(kept - leaving @ of_state, leaving @ own)
    corrected = own if length <= size else own - of_state @ before
    mixed = ((queries @ keys.transpose(-2, -1)) * fading) @ corrected
    if length > size:
        mixed = mixed + (queries * start) @ before
    return joined(mixed, length), after


def _fading(logs: Tensor) -> Tensor:
    """alpha_{j+1} … alpha_i for j <= i, else 0: ``[batch, heads, chunks, chunk, chunk]``.

    Summed up from j on for each j: the difference of two sums from the chunk's start would lose the digits
    of what comes after a token that nearly empties the state.
    """
    after = torch.ones(logs.shape[3], logs.shape[3], dtype=logs.dtype, device=logs.device).tril(-1)
    return (logs * after).cumsum(dim=-2).exp().tril()


def _corrections(
    key: Tensor, value: Tensor, beta: Tensor, start: Tensor, fading: Tensor
) -> tuple[Tensor, Tensor]:
    """Y and W: what the chunk's own values write, and what it takes back of the state before it."""
    system = (beta * (key @ key.transpose(-2, -1)) * fading).tril(-1)
    wanted = torch.cat((beta * value, beta * start * key), dim=-1)
    solved = torch.linalg.solve_triangular(system, wanted, upper=False, unitriangular=True)
    return solved[..., : value.shape[-1]], solved[..., value.shape[-1] :]
