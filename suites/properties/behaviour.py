"""What every attention must do, whatever it computes: shapes, mixing, causality, padding, batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from simpleeval import simple_eval

from suites.properties.subject import Array, BrokenClaimError, Layer, NotClaimedError, Subject, require_same

TOLERANCE = 2e-5
# An influence below this is rounding; in float64 the weakest true one (a decayed memory) stands far above.
VISIBLE = {"float64": 1e-13, "float32": 1e-6}


# Room for the keys, landmarks or windows that options as measured count on.
ORDINARY_LENGTH = 61


def dtype(subject: Subject) -> None:
    """float32 in, float32 out."""
    if not subject.is_kernel:
        raise NotClaimedError
    answer = subject.kernel(*(subject.heads(seed) for seed in (1, 2, 3)))
    if "float32" not in str(answer.dtype):
        raise BrokenClaimError(f"the kernel's output must be float32 as its input, got {answer.dtype}")


def shape(subject: Subject) -> None:
    """The kernel answers `[batch, heads, time, head_width]`, the layer `[batch, time, width]`."""
    if subject.is_kernel:
        query = subject.heads(1)
        answer = subject.kernel(query, subject.heads(2), subject.heads(3))
        _expect_shape(answer, query.shape, "the kernel's output")
    tokens = subject.tokens()
    for causal in subject.forms:
        _expect_shape(subject.layer(causal=causal, drawn=False)(tokens), tokens.shape, "the layer's output")


def _expect_shape(answer: Any, expected: tuple[int, ...], what: str) -> None:
    got = tuple(getattr(answer, "shape", ()))
    if got != expected:
        raise BrokenClaimError(f"{what} must have shape {list(expected)}, got {list(got)}")


def finite(subject: Subject) -> None:
    """No NaN or infinity on ordinary input, with the options that are measured."""
    for causal in subject.forms:
        layer = subject.layer(causal=causal, options=subject.options, drawn=False, max_length=ORDINARY_LENGTH)
        call = layer.framework.forward(layer.model, tuple(layer.inputs(subject.tokens(ORDINARY_LENGTH))))
        answer = layer.framework.output(call())
        if not np.isfinite(answer).all():
            raise BrokenClaimError(
                f"{np.mean(~np.isfinite(answer)):.0%} of the output is NaN or infinite "
                f"on standard normal input{_form(causal)}"
            )


def determinism(subject: Subject) -> None:
    """The same input twice gives the same output, and the same seed the same layer."""
    tokens = subject.tokens()
    for causal in subject.forms:
        layer = subject.layer(causal=causal, drawn=False)
        once = layer(tokens)
        require_same(once, layer(tokens), TOLERANCE, f"the same input twice{_form(causal)}")
        again = subject.layer(causal=causal, drawn=False)
        require_same(once, again(tokens), TOLERANCE, f"two layers built under one seed{_form(causal)}")


def batch_invariance(subject: Subject) -> None:
    """A sequence alone and in a batch gives the same output."""
    tokens = subject.tokens()
    for causal in subject.forms:
        layer = subject.layer(causal=causal)
        together = layer(tokens)
        for place in range(len(tokens)):
            require_same(
                layer(tokens[place : place + 1]),
                together[place : place + 1],
                TOLERANCE,
                f"sequence {place} alone and in a batch{_form(causal)}",
            )


def axes(subject: Subject) -> None:
    """Heads and positions are not swapped: a kernel's head answers from its own head only."""
    if not subject.is_kernel:
        raise NotClaimedError
    arrays = [subject.heads(seed) for seed in (1, 2, 3)]
    changed = [array.copy() for array in arrays]
    for array, seed in zip(changed, (4, 5, 6), strict=True):
        array[:, 0] = subject.heads(seed)[:, 0]
    before, after = (subject.framework.output(subject.kernel(*given)) for given in (arrays, changed))
    require_same(before[:, 1:], after[:, 1:], TOLERANCE, "head 0 was changed, answers of the other heads")


def mixing(subject: Subject) -> None:
    """A changed token changes what claims to see it, and nothing that claims not to."""
    for causal in subject.forms:
        _smallest(partial(_mixes, subject, causal), _lengths(subject))


def _mixes(subject: Subject, causal: bool, length: int) -> None:
    dtype = "float32" if subject.lacks_float64 else "float64"
    layer = subject.layer(causal=causal, dtype=dtype, max_length=subject.length)
    tokens = subject.tokens(length)
    before = layer(tokens)
    earlier, later = (reach_of(subject, layer, length, later=later) for later in (False, True))
    moved_any = False
    for changed_at in range(length):
        changed = tokens.copy()
        changed[:, changed_at] += subject.tokens(length, seed=2)[:, changed_at]
        moved = np.abs(layer(changed) - before).max(axis=(0, 2)) / max(1.0, float(np.abs(before).max()))
        sees = moved > VISIBLE[dtype]
        moved_any |= bool(np.delete(sees, changed_at).any())
        for place in range(length):
            reach = later if changed_at > place else earlier
            _check_sight(place, changed_at, bool(sees[place]), causal, reach, length)
    if earlier is None and length > 2 and not moved_any:
        raise BrokenClaimError(f"{length} tokens{_form(causal)}: no token changes another: nothing is mixed")


def _check_sight(
    place: int, changed_at: int, moved: bool, causal: bool, reach: int | None, length: int
) -> None:
    if causal and changed_at > place:
        return  # the property of causality, which has its own name
    if reach is None:
        return
    near = abs(place - changed_at) <= reach
    if near and not moved:
        raise BrokenClaimError(
            f"of {length} tokens{_form(causal)}, changing token {changed_at} leaves token {place} unchanged, "
            "which claims to see it: nothing is mixed between them"
        )
    if not near and moved:
        raise BrokenClaimError(
            f"of {length} tokens{_form(causal)}, changing token {changed_at} changes token {place}, "
            f"which claims to see no farther than {reach}"
        )


def reach_of(subject: Subject, layer: Layer, length: int, *, later: bool) -> int | None:
    """The largest distance to which the variant claims to see later tokens, or earlier ones; None where it
    chooses."""
    if subject.claims.reach == "some":
        return None
    if subject.claims.reach == "all":
        return length
    names = {**layer.options, "causal": layer.causal, "n": length, "later": later}
    return int(simple_eval(subject.claims.reach, names=names))


def causality(subject: Subject) -> None:
    """Changing the future leaves the past unchanged, in the answer and in the gradient."""
    if not subject.claims.causal:
        raise NotClaimedError
    _smallest(partial(_is_causal, subject), _lengths(subject))


def _is_causal(subject: Subject, length: int) -> None:
    layer = subject.layer(causal=True, max_length=subject.length)
    tokens = subject.tokens(length)
    before = layer(tokens)
    for cut in range(1, length):
        changed = tokens.copy()
        changed[:, cut:] = 3 * subject.tokens(length, seed=2)[:, cut:]
        require_same(
            before[:, :cut],
            layer(changed)[:, :cut],
            TOLERANCE,
            f"{length} tokens, those from {cut} on were changed, answers before it",
        )
    if subject.trains and length > 1:
        _no_gradient_from_the_past(layer, tokens, length // 2)


def _no_gradient_from_the_past(layer: Layer, tokens: Array, cut: int) -> None:
    cotangent = np.zeros_like(tokens)
    cotangent[:, :cut] = 1.0
    _, gradients = layer.gradients(tokens, cotangent)
    require_same(
        np.zeros_like(tokens[:, cut:]),
        gradients["input 0"][:, cut:],
        1e-7,
        f"{tokens.shape[1]} tokens, gradient of the answers before {cut} by the tokens from {cut} on",
    )


def padding(subject: Subject) -> None:
    """Padded tokens change nothing, forward or backward; a fully padded sequence gives no NaN."""
    for causal in subject.forms:
        _smallest(partial(_ignores_padding, subject, causal), _lengths(subject))


def _ignores_padding(subject: Subject, causal: bool, length: int) -> None:
    layer = subject.layer(causal=causal, max_length=subject.length)
    tokens = subject.tokens(length)
    real = np.ones(tokens.shape[:2], bool)
    real[:, length - length // 3 :] = False
    real[-1, : length // 4] = False
    changed = np.where(real[..., None], tokens, 3 * subject.tokens(length, seed=2))
    before, after = (layer(given, None, real) for given in (tokens, changed))
    keep = real[..., None]
    require_same(
        before * keep, after * keep, TOLERANCE, f"{length} tokens{_form(causal)}, padded ones were changed"
    )
    if subject.trains:
        _, gradients = layer.gradients(tokens, keep * np.ones_like(tokens), None, real)
        leaked = gradients["input 0"] * ~keep
        require_same(
            np.zeros_like(leaked), leaked, 1e-7, f"{length} tokens{_form(causal)}, gradient by padded ones"
        )
    real[0] = False
    if not np.isfinite(layer(tokens, None, real)).all():
        raise BrokenClaimError(f"a fully padded sequence of {length}{_form(causal)} gives NaN or infinity")


def _lengths(subject: Subject) -> Iterable[int]:
    return range(2, subject.length + 1)


def _smallest(check: Callable[[int], None], lengths: Iterable[int]) -> None:
    """Hold `check` at the longest length; if it fails there, raise the failure of the shortest."""
    ordered = list(lengths)
    try:
        check(ordered[-1])
    except BrokenClaimError:
        for length in ordered:
            check(length)
        raise


def _form(causal: bool) -> str:
    return ", causal" if causal else ""
