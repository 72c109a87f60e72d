"""The shapes in signatures are not decoration: a swapped axis is refused in every test."""

import pytest
import torch
from jaxtyping import TypeCheckError

from implementations.on_torch import softmax


def test_a_padding_of_the_wrong_axis_is_refused() -> None:
    query, key = torch.zeros(2, 3, 7, 5), torch.zeros(2, 3, 11, 5)
    with pytest.raises(TypeCheckError):
        softmax.attend(query, key, key, padding=torch.ones(11, 2, dtype=torch.bool))
