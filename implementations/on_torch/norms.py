"""Where a model normalises, and with what: the axis `normalisation`.

    pre:  x + part(LayerNorm(x)), and a norm after the last block
    post: LayerNorm(x + part(x)), and no other norm
    rms:  as pre, with RMSNorm(x) = x / sqrt(mean(x^2) + epsilon) * scale
    qk:   as pre, and queries and keys of each head are brought to unit mean square as well

Papers: Ba and others 2016, arXiv:1607.06450; Vaswani and others 2017, arXiv:1706.03762, section 3.1 (post);
Xiong and others 2020, arXiv:2002.04745 (pre: it trains without a learning-rate warm-up); Zhang and Sennrich
2019, arXiv:1910.07467 (rms); Henry and others 2020, arXiv:2010.04245 (qk, which the attention layer does).
"""

from torch import nn

from bench.schema import NORMALISATIONS

NORM_EPSILON = 1e-5


def build_norm(normalisation: str, width: int) -> nn.Module:
    """The norm before or after each part of a block. Raises ValueError for an unknown normalisation."""
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}, got {normalisation!r}")
    if normalisation == "rms":
        return nn.RMSNorm(width, eps=NORM_EPSILON)
    return nn.LayerNorm(width, eps=NORM_EPSILON)


def build_final_norm(normalisation: str, width: int) -> nn.Module:
    """The norm after the last block; nothing where each block ends with one."""
    return nn.Identity() if normalisation == "post" else build_norm(normalisation, width)
