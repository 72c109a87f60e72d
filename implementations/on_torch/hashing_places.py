"""Where the tokens stand in hashed attention: their buckets, and each round's order of bucket and position.

A code says in one number who finds whom: a query finds a key in a round if its code is the key's or up to
`limit` more. Causal, the code is the token's place in the sorted order and `limit` is `size`; not causal,
it is the chunk of that place and `limit` is 1. Buckets lie more than `limit` apart.

Codes are kept and compared in the narrowest integers that tell them apart, with the lowest of these
integers added to the query's: a difference then wraps round, and one comparison does for both ends.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


class Places(NamedTuple):
    """The places of `rows` sequences, one behind the other, in every round; `size` divides each's `length`.

    `order` says which token stands at a place, `undone` at which place a token stands, `codes` are the
    tokens', `real` is False for the padded ones, which are sorted last, into a bucket of their own.
    """

    order: Int[Tensor, "hashes tokens"]
    undone: Int[Tensor, "hashes tokens"]
    codes: Int[Tensor, "hashes tokens"]
    real: Bool[Tensor, "tokens 1"] | None
    length: int
    size: int
    limit: int

    def compared(self, number: int) -> tuple[Tensor, Tensor, int]:
        """Codes of the rounds up to `number`, in its order: the queries' and their windows' keys'.

        ``[rounds, blocks, size, 1]`` and ``[rounds, blocks, 1, 2 * size]``; a query finds a key if its code
        less the key's, wrapping round, is no more than the number that comes third.
        """
        lowest = torch.iinfo(self.codes.dtype).min
        codes = self.codes[: number + 1].index_select(1, self.order[number])
        asking = (codes + lowest).view(number + 1, -1, self.size, 1)
        asked = functional.pad(codes.view(number + 1, -1, self.length), (self.size, 0), value=lowest)
        asked = asked.unfold(-1, 2 * self.size, self.size).reshape(number + 1, -1, 1, 2 * self.size)
        return asking, asked, lowest + self.limit


def buckets_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
) -> Int[Tensor, "batch heads hashes time"]:
    """The signed direction, among ``2 * directions``, that each key lies nearest to, in every round."""
    rounds = [_nearest(rotation.to(key.dtype).mT @ key.detach().mT) for rotation in rotations]
    return torch.stack(rounds, dim=2)


def places_of(
    buckets: Int[Tensor, "batch heads hashes time"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    last: int,
    size: int,
    causal: bool,
) -> Places:
    """The places of tokens in buckets below `last`."""
    batch, heads, _, length = buckets.shape
    real = None
    if padding is not None:
        buckets = buckets.masked_fill(~padding[:, None, None], last)
        real = padding[:, None].expand(-1, heads, -1).reshape(-1, 1)
    ordered, order = buckets.flatten(0, 1).transpose(0, 1).sort(dim=-1, stable=True)
    tokens = torch.arange(batch * heads * length, device=buckets.device)
    order = (order + tokens[::length, None]).flatten(1)
    undone = torch.empty_like(order).scatter_(1, order, tokens.expand_as(order))
    limit, step = (size, 1) if causal else (1, size)
    # None is within `limit` of 0, which stands for nobody.
    codes = tokens[:length] // step + (limit + 1) * (ordered + 1)
    narrow = _narrowest(length // step + (limit + 1) * (last + 1))
    codes = (codes + torch.iinfo(narrow).min).to(narrow).flatten(1).gather(1, undone)
    return Places(order, undone, codes, real, length, size, limit)


def _nearest(turned: Float[Tensor, "batch heads directions time"]) -> Int[Tensor, "batch heads time"]:
    """argmax of ``[turned, -turned]``, in steps that work on whole vectors: a fifth of its time."""
    turned = turned.to(torch.promote_types(turned.dtype, torch.float32))
    both = torch.cat((turned, -turned), dim=2)
    count = both.shape[2]
    countdown = torch.arange(count, 0, -1, dtype=both.dtype, device=both.device)
    first = both.ge_(both.amax(dim=2, keepdim=True)).mul_(countdown[:, None]).amax(dim=2)
    return (count - first).int()


def _narrowest(span: int) -> torch.dtype:
    """The smallest integers in which numbers up to `span` wrap round to different ones."""
    return next(kind for kind in (torch.int8, torch.int16, torch.int32) if span < 2 ** torch.iinfo(kind).bits)
