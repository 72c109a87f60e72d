"""What is compared: variants with their claims, and the models that they are put into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from bench.schema.validation import require
from bench.schema.words import RELATIVE_POSITIONS, Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a variant says of itself and a certificate checks.

    `reach` is how far a query sees: ``"all"`` tokens, ``"some"`` chosen by content or by a pattern (which
    `definition` settles), or the largest distance as an expression in the options, ``causal``, ``n`` and
    ``later`` (whether the token seen stands after the query). `definition` is ``"module:layer"``, the
    variant written out in float64 NumPy. `state` counts the numbers that decoding holds for one sequence
    after n tokens, as an expression in ``n``, ``heads``, ``head_width``, ``width`` and the options; empty
    where there is no decoding. `converges` names the option whose growth brings the variant to softmax.
    `small` are options under which a dozen of tokens crosses several of the variant's blocks or windows.
    `positions` are those of `RELATIVE_POSITIONS` that it can hold. A variant that is `causal_only` has no
    other form.
    """

    exact: bool = False
    causal: bool = False
    causal_only: bool = False
    cross_attention: bool = False
    trainable: bool = True
    time_exponent: float = 2.0
    reach: str = "all"
    definition: str = ""
    state: str = ""
    converges: str = ""
    small: Options = field(default_factory=dict)
    positions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to mix tokens, on every framework it has an implementation for.

    `time` and `memory` say how the cost grows with the length n (``"n^2"``, ``"n"``, ``"n w"``);
    `time_exponent` is the number that a fit over lengths is held against, 0 where none is declared.
    `targets` maps a framework to ``"module:Name"``; `unsupported` maps the frameworks without one to the
    reason. `reach`, `definition`, `state`, `converges`, `small` and `positions` are claims, see `Claims`.
    With `segment_memory` its layer goes on from a memory of what stood before (`with_memory`).

    `featured` names the frameworks on which it is compared when nobody names a variant. `peer_of` names
    the variant of ours that this one, from the public package `package` (its pip name and the module
    that shows whether it is there), is held against.
    """

    name: str
    title: str
    paper: str
    equation: str
    time: str
    memory: str
    time_exponent: float
    exact: bool
    causal: bool
    cross_attention: bool
    trainable: bool
    causal_only: bool = False
    segment_memory: bool = False
    family: str = ""
    reach: str = "all"
    definition: str = ""
    state: str = ""
    converges: str = ""
    small: Options = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    featured: tuple[str, ...] = ()
    peer_of: str = ""
    package: tuple[str, str] = ("", "")
    options: Options = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)

    @property
    def claims(self) -> Claims:
        """What its certificate checks."""
        return Claims(**{claim.name: getattr(self, claim.name) for claim in fields(Claims)})

    def __post_init__(self) -> None:
        require(bool(self.name), "a variant needs a name")
        wrong = set(self.positions) - set(RELATIVE_POSITIONS)
        require(not wrong, f"{self.name}: unknown positions {sorted(wrong)}")
        both = set(self.targets) & set(self.unsupported)
        require(not both, f"{self.name} is both implemented and unsupported on {sorted(both)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a variant is put into: a bare layer, an encoder, a classifier, the image generator.

    A target is a callable ``build(attention, *, width, heads, causal, max_length, options, **settings)``
    that answers a model of its framework; `attention` is the variant's class or kernel. `packages` maps
    a framework to the package whose modules serve the model: ``weights`` (`export_weights`,
    `import_weights`), ``generation`` (`generate`) and ``checkpointing`` (`set_checkpointing`).
    `token_numbers` says that it takes whole numbers instead of vectors, and `decodes` that it can go on
    token by token.
    """

    name: str
    title: str
    needs_cross_attention: bool = False
    needs_causal: bool = False
    needs_segment_memory: bool = False
    token_numbers: bool = False
    decodes: bool = False
    targets: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
