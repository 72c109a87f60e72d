"""Nyströmformer: the softmax's matrix rebuilt from a few of its rows and columns.

    out = F pinv(A) (B V),   F = softmax(Q K~^T / sqrt(d)),  A = softmax(Q~ K~^T / sqrt(d)),
    B = softmax(Q~ K^T / sqrt(d)),   Q~ and K~ the means of Q and K over m segments

pinv(A) by Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4 from Z = A^T / (|A|_1 |A|_inf). Time n m d + m^3,
memory n d + m^2: F and B are never built, torch's fused kernel multiplies them with what they meet. Paper:
Xiong and others 2021, arXiv:2102.03902, equations 7 to 14 and section 3.3; with `convolution`, as in its
code, a depthwise convolution of the values over time is added (section 3.4).

Departures: segments have ceil(n / m) tokens, so that the last is shorter, or the segments fewer, where m
does not divide n; with n <= m each token is its own landmark. Then F = A = B, and the answer is that of
softmax attention as far as the iteration has come to the inverse: on standard normal queries and keys of
32 channels the six steps leave 1 to 9% of error, twelve below 0.3%, eighteen about 1e-6. With n well above
m more steps do harm: stopped early, the iteration leaves out the small singular values, whose inverses
enlarge what the means got wrong. Means are over real tokens; a segment without one takes no part. The
norms are those of each matrix, not of a batch. The iteration runs in float32 at least.

It cannot be causal, as a segment's mean holds tokens that come after some of its own queries, nor attend
to a context, as an answer would depend on the other queries, which a decoder does not have yet.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.projected import AttentionLayer, LayerSettings


class Nystrom(AttentionLayer):
    """Attention through the means of at most `landmarks` segments.

    `iterations` approach the inverse; `convolution` is the odd number of tokens, 0 for none, that the
    depthwise convolution of each head spans. Raises NotImplementedError when asked to be causal or to
    attend to a context, ValueError for numbers out of range.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        landmarks: int = 32,
        iterations: int = 6,
        convolution: int = 0,
        **settings: Unpack[LayerSettings],
    ) -> None:
        if settings.get("causal", False):
            raise NotImplementedError(
                "nystrom cannot be causal: a landmark is the mean of a segment, tokens to come included"
            )
        if landmarks < 1 or iterations < 1:
            raise ValueError(
                f"nystrom needs landmarks and iterations of at least 1, got {landmarks} and {iterations}"
            )
        if convolution < 0 or (convolution and convolution % 2 == 0):
            raise ValueError(f"convolution must be an odd number of tokens, or 0, got {convolution}")
        super().__init__(width, heads, **settings)
        self.landmarks = landmarks
        self.iterations = iterations
        self.convolution = convolution
        if convolution:
            # Torch's own start for such a convolution: uniform within 1 / sqrt(fan in).
            bound = 1 / math.sqrt(convolution)
            self.skip = nn.Parameter(torch.empty(heads, convolution).uniform_(-bound, bound))

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens attend to themselves; `padding` is True where a real token stands.

        Raises NotImplementedError for a context, ValueError for shapes that do not fit.
        """
        if context is not None:
            raise NotImplementedError(_NO_CONTEXT)
        return super().forward(query, None, padding)

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Raises NotImplementedError: there is no attention to a context."""
        raise NotImplementedError(_NO_CONTEXT)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads time head_width"],
        value: Float[Tensor, "batch heads time head_width"],
        padding: Bool[Tensor, "batch time"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """F pinv(A) (B V), and the convolution of V where there is one; zeros if no token is real."""
        size = math.ceil(query.shape[2] / self.landmarks)
        middle, seen = query, padding
        middle_key = key
        if size > 1:
            middle, middle_key = (segment_means(part, padding, size) for part in (query, key))
            seen = None if padding is None else _segments(padding, size).any(dim=-1)
        recalled = sdpa.attend(middle, key, value, padding=padding)
        inverse = pseudo_inverse(_landmark_weights(middle, middle_key, seen), self.iterations)
        mixed = sdpa.attend(
            query, middle_key, (inverse @ recalled.to(inverse.dtype)).to(value.dtype), padding=seen
        )
        return mixed + self._convolved(value, padding) if self.convolution else mixed

    def _convolved(self, value: Tensor, padding: Tensor | None) -> Tensor:
        if padding is not None:
            value = value.masked_fill(~padding[:, None, :, None], 0.0)
        kernel = self.skip[:, None, :, None]
        return functional.conv2d(value, kernel, padding=(self.convolution // 2, 0), groups=self.heads)


_NO_CONTEXT = (
    "nystrom attends to its own tokens only: through the landmarks of the queries an answer would depend "
    "on the other queries; use a variant that takes a context"
)


def segment_means(
    tokens: Float[Tensor, "batch heads time head_width"],
    padding: Bool[Tensor, "batch time"] | None,
    size: int,
) -> Float[Tensor, "batch heads segments head_width"]:
    """The mean of the real tokens of each `size` in a row; zeros where there is none."""
    if padding is not None:
        tokens = tokens.masked_fill(~padding[:, None, :, None], 0.0)
    missing = -tokens.shape[2] % size
    padded = functional.pad(tokens, (0, 0, 0, missing)) if missing else tokens
    batch, heads, _, width = tokens.shape
    sums = padded.reshape(batch, heads, -1, size, width).sum(dim=3)
    if padding is None:
        counts = tokens.new_full((sums.shape[2], 1), size)
        counts[-1] -= missing
        return sums / counts
    return sums / _segments(padding, size).sum(dim=-1).clamp(min=1)[:, None, :, None]


def _segments(padding: Tensor, size: int) -> Tensor:
    padded = functional.pad(padding, (0, -padding.shape[1] % size))
    return padded.reshape(len(padding), -1, size)


def _landmark_weights(query: Tensor, key: Tensor, seen: Tensor | None) -> Tensor:
    """A, with rows and columns of zeros for the segments without a real token."""
    scores = (query @ key.mT / math.sqrt(query.shape[-1])).to(torch.promote_types(query.dtype, torch.float32))
    if seen is None:
        return scores.softmax(dim=-1)
    both = seen[:, None, :, None] & seen[:, None, None, :]
    # Rows that see nothing are a constant before the softmax: defined, and zero after it.
    return scores.masked_fill(~seen[:, None, None, :], torch.finfo(scores.dtype).min / 4).softmax(-1) * both


def pseudo_inverse(
    weights: Float[Tensor, "*batch landmarks landmarks"], iterations: int
) -> Float[Tensor, "*batch landmarks landmarks"]:
    """The Moore-Penrose inverse, approached in `iterations` steps of order three; zero for zero weights."""
    columns, rows = (weights.sum(dim=place).amax(dim=-1) for place in (-2, -1))
    largest = (columns * rows)[..., None, None]
    with torch.autocast(weights.device.type, enabled=False):
        inverse = weights.mT / torch.where(largest > 0, largest, 1.0)
        one = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        for _ in range(iterations):
            product = weights @ inverse
            bracket = 15 * one - product @ (7 * one - product)
            inverse = 0.25 * inverse @ (13 * one - product @ bracket)
    return inverse
