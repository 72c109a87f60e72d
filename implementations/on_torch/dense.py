"""The linear map of every model here: torch's, started the way Keras starts its own.

Both frameworks then train from the same distribution: Glorot uniform kernels (Glorot and Bengio 2010)
and zero biases, where torch alone would draw both from a uniform distribution of another width.
"""

from torch import nn


class Dense(nn.Linear):
    """A linear map from `in_features` to `out_features` with a bias; ``[..., in] -> [..., out]``."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Table(nn.Embedding):
    """A learned table of rows, started as Keras starts its Embedding: uniform in -0.05 to 0.05."""

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, -0.05, 0.05)
