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

from jaxtyping import Float
from keras import ops

from implementations.on_keras.chunk_states import carried_by_matrix, chunk_for, chunked, joined
from implementations.on_keras.keras_types import Tensor

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
    length = ops.shape(value)[2]
    size = chunk_for(length, chunk)
    queries, keys, values = (chunked(part, size) for part in (query, key, value))
    betas, logs = (chunked(part[..., None], size) for part in (strength, log_decay))
    fading = _fading(logs)
    start, end = ops.exp(ops.cumsum(logs, axis=3)), fading[:, :, :, -1, :, None]
    own, of_state = _corrections(keys, values, betas, start, fading)
    leaving = ops.swapaxes(keys * end, -2, -1)
    kept = ops.eye(int(key.shape[-1]), dtype=key.dtype) * start[:, :, :, -1:]
    before, after = carried_by_matrix(kept - ops.matmul(leaving, of_state), ops.matmul(leaving, own))
    several = not isinstance(length, int) or length > size
    corrected = own - ops.matmul(of_state, before) if several else own
    mixed = ops.matmul(ops.matmul(queries, ops.swapaxes(keys, -2, -1)) * fading, corrected)
    if several:
        mixed = mixed + ops.matmul(queries * start, before)
    return joined(mixed, length), after


def _fading(logs: Tensor) -> Tensor:
    """alpha_{j+1} … alpha_i for j <= i, else 0: ``[batch, heads, chunks, chunk, chunk]``.

    Summed up from j on for each j: the difference of two sums from the chunk's start would lose the digits
    of what comes after a token that nearly empties the state.
    """
    size = int(logs.shape[3])
    after = ops.tril(ops.ones((size, size), dtype=logs.dtype), k=-1)
    return ops.tril(ops.exp(ops.cumsum(logs * after, axis=-2)))


def _corrections(
    key: Tensor, value: Tensor, beta: Tensor, start: Tensor, fading: Tensor
) -> tuple[Tensor, Tensor]:
    """Y and W: what the chunk's own values write, and what it takes back of the state before it."""
    size, value_width = int(key.shape[3]), int(value.shape[-1])
    system = ops.tril(beta * ops.matmul(key, ops.swapaxes(key, -2, -1)) * fading, k=-1)
    wanted = ops.concatenate([beta * value, beta * start * key], axis=-1)
    solved = ops.solve_triangular(system + ops.eye(size, dtype=key.dtype), wanted, lower=True)
    return solved[..., :value_width], solved[..., value_width:]
