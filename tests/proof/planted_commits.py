"""The commits of the planted history: what each one edits, and what a gate must say of it.

Edits are written against this project's own files and fail loudly where those have moved on. Extra time is
real work in the implementation (cosines of a small tensor, over and over), extra memory a tensor that is
kept while the layer works; how much of either makes so many percent is measured first, see `planted_sizes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TORCH_WINDOW = "implementations/on_torch/sliding_window.py"
KERAS_WINDOW = "implementations/on_keras/sliding_window.py"
TORCH_LINEAR = "implementations/on_torch/linear.py"
TORCH_BLOCKS = "implementations/on_torch/overlapping_blocks.py"
WINDOW, TWIN, LINEAR = "sliding_window@torch", "sliding_window@keras", "linear@torch"


class PlantError(Exception):
    """An edit whose place is not in the file, or is there more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """`old`, which stands once in the file, becomes `new`; a file without `old` is written anew."""

    file: str
    new: str
    old: str = ""

    def apply(self, root: Path) -> None:
        """Change the file under `root`; raises PlantError where the place is not exactly one."""
        path = root / self.file
        if not self.old:
            if path.exists():
                raise PlantError(f"{self.file} is there already")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.new)
            return
        text = path.read_text()
        if text.count(self.old) != 1:
            raise PlantError(f"{self.file} holds {text.count(self.old)} times, expected once:\n{self.old}")
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What a commit does to one implementation: a cell of this kind (`time`, `memory`, `certificate`,
    `score`) gets this word; `size` is the share that was aimed at, 0 where the plant has none. What it
    `costs` in causal layers besides is no false alarm."""

    implementation: str
    kind: str
    size: float = 0.0
    word: str = "worse"
    costs: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As the table has it."""
        what = {"time": "slower", "memory": "more memory"}.get(self.kind)
        if what:
            return f"{self.implementation}: {self.size:.0%} {what}"
        name = {"certificate": "causality", "score": "accuracy"}[self.kind]
        return f"{self.implementation}: {name} {'lost' if self.word == 'worse' else 'back'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit; `code` says that it changes measured code without a plant, so that it is measured."""

    title: str
    edits: tuple[Edit, ...]
    plant: Plant | None = None
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where extra work goes: `anchor` is a line that stands once, `work` what is put after it, with
    ``{turns}`` for the number of rounds and ``{number}`` for a name of its own."""

    file: str
    anchor: str
    work: str

    def slower(self, turns: int, number: int) -> Edit:
        """So many rounds of extra work."""
        work = self.work.format(turns=turns, number=number)
        return Edit(file=self.file, old=self.anchor, new=self.anchor + work)


_TORCH_WORK = """        spin_{number} = query.new_ones(4096)
        for _ in range({turns}):
            spin_{number}.cos_()
"""
# A graph drops what its answer does not hang on, and works constants out beforehand: hence the question,
# which no cosine answers with yes.
_KERAS_WORK = """    spin_{number} = query[:, :1, :64]
    for _ in range({turns}):
        spin_{number} = ops.cos(spin_{number})
    positions = positions + ops.cast(ops.max(spin_{number}) > 2.0, positions.dtype)
"""
PLACES: Mapping[str, Place] = {
    WINDOW: Place(file=TORCH_WINDOW, anchor='        """What the kernel answers."""\n', work=_TORCH_WORK),
    LINEAR: Place(
        file=TORCH_LINEAR, anchor="        self._check(query, source, padding)\n", work=_TORCH_WORK
    ),
    TWIN: Place(file=KERAS_WINDOW, anchor="    positions = ops.arange(length)\n", work=_KERAS_WORK),
}
# The rounds that calibration tries: about as long as the call itself, so that noise hardly moves their share.
TRIED: Mapping[str, int] = {WINDOW: 2000, LINEAR: 1000, TWIN: 600}
_FUTURE = ("(window - 1, 0) if causal else", "(window - 1, 1) if causal else")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What calibration found: the share of time that one round adds, by implementation, and the bytes of
    linear attention's peak."""

    round_share: Mapping[str, float]
    peak_bytes: float

    def turns(self, implementation: str, size: float) -> int:
        """Rounds that make so large a share."""
        return max(1, round(size / self.round_share[implementation]))


class _Slower:
    """Plants of time, each as large as its share of what the implementation takes by then."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._grown = dict.fromkeys(PLACES, 1.0)
        self._number = 0

    def __call__(self, implementation: str, size: float, title: str) -> Commit:
        self._number += 1
        turns = self._sizes.turns(implementation, size * self._grown[implementation])
        self._grown[implementation] *= 1 + size
        plant = Plant(implementation=implementation, kind="time", size=size)
        edit = PLACES[implementation].slower(turns, self._number)
        return Commit(title=title, edits=(edit,), plant=plant)


def hungrier(count: int) -> Edit:
    """Linear attention that keeps `count` more floats while it works."""
    anchor = "        source = query if context is None else context\n"
    return Edit(
        file=TORCH_LINEAR, old=anchor, new=f"{anchor}        kept = source.new_ones({count})  # noqa: F841\n"
    )


def leak(file: str, implementation: str, title: str) -> Commit:
    """A causal window that ends one token late, for which it must look at one more block."""
    old, new = _FUTURE
    plant = Plant(implementation=implementation, kind="certificate", costs=("time", "memory"))
    return Commit(title=title, edits=(Edit(file=file, old=old, new=new),), plant=plant)


def _mended(commit: Commit, title: str) -> Commit:
    """The commit taken back."""
    assert commit.plant is not None
    plant = Plant(implementation=commit.plant.implementation, kind=commit.plant.kind, word="better")
    edits = tuple(Edit(file=edit.file, old=edit.new, new=edit.old) for edit in commit.edits)
    return Commit(title=title, edits=edits, plant=plant)


def _harmless() -> Iterator[Commit]:
    """What no gate may measure: documents, comments, layout, tests, other variants."""
    yield Commit(
        title="Say in the README where to ask",
        edits=(
            Edit(file="README.md", old="# attnbench\n", new="# attnbench\n\nQuestions: open an issue.\n"),
        ),
    )
    yield Commit(
        title="Explain the blocks' sizes",
        edits=(
            Edit(
                file=TORCH_WINDOW,
                old="SMALLEST_BLOCK = 4\n",
                new="# Smaller blocks than this are all overhead.\nSMALLEST_BLOCK = 4\n",
            ),
        ),
    )
    yield Commit(
        title="Changelog",
        edits=(Edit(file="CHANGELOG.md", old="# Changelog\n", new="# Changelog\n\nNewest first.\n"),),
    )
    yield Commit(
        title="Docstring of the Keras window",
        edits=(
            Edit(
                file=KERAS_WINDOW,
                old='    """Each block with the `others` after it,',
                new='    """Every block together with the `others` that follow it,',
            ),
        ),
    )
    yield Commit(
        title="A test of the smallest window",
        edits=(
            Edit(file="tests/unit/smallest_window.py", new='"""A window of one token."""\n\nWINDOW = 1\n'),
        ),
    )
    yield Commit(
        title="Notes on windows", edits=(Edit(file="docs/windows.md", new="# Windows\n\nHow wide?\n"),)
    )
    yield Commit(
        title="A shorter private name in hashing",
        edits=(
            Edit(
                file="implementations/on_torch/hashing_rounds.py",
                old='def _rounds(places: Places) -> Iterator["_Round"]:',
                new='_unused = None\n\n\ndef _rounds(places: Places) -> Iterator["_Round"]:',
            ),
        ),
    )
    yield Commit(
        title="Say what the workflow is for",
        edits=(
            Edit(file=".github/workflows/windows.yml", new="# Windows come later.\non: workflow_dispatch\n"),
        ),
    )
    yield Commit(
        title="Reports speak of commits",
        edits=(Edit(file="reports/windows.py", new='"""What windows look like."""\n\nTITLE = "Windows"\n'),),
    )
    yield Commit(
        title="How to send a window",
        edits=(
            Edit(file="CONTRIBUTING.md", old="# Contributing\n", new="# Contributing\n\nWindows welcome.\n"),
        ),
    )
    yield Commit(
        title="Lay the linear kernel out anew",
        edits=(
            Edit(
                file=TORCH_LINEAR,
                old="attend_by_features(feature_map(query), _hidden(feature_map(key), padding), value,",
                new="attend_by_features(\n        feature_map(query),\n"
                "        _hidden(feature_map(key), padding),\n        value,",
            ),
        ),
    )
    yield Commit(
        title="Name the paper's section",
        edits=(
            Edit(
                file=TORCH_LINEAR,
                old='    """Its slope, exp(x) below 0',
                new='    """Section 3.2 of the paper. Its slope, exp(x) below 0',
            ),
        ),
    )


_STACKED = (
    "    return torch.cat((first.flatten(0, 1)[:, None].expand(-1, views.shape[1], -1, -1), views), dim=2)\n"
)


def _rewritten() -> Iterator[Commit]:
    """Measured code that reads otherwise and does the same: it is measured, and nothing may be said."""
    yield Commit(
        title="A longer name for a private function",
        edits=(
            Edit(
                file=TORCH_WINDOW,
                old="    push = _push(real, key.dtype)",
                new="    push = _pushed_down(real, key.dtype)",
            ),
            Edit(file=TORCH_WINDOW, old="def _push(real: Tensor", new="def _pushed_down(real: Tensor"),
        ),
        code=True,
    )
    yield Commit(
        title="A clearer error",
        edits=(
            Edit(
                file=TORCH_WINDOW,
                old='f"window must be at least 1 token, got {window}"',
                new='f"a window holds at least 1 token, got {window}"',
            ),
        ),
        code=True,
    )
    yield Commit(
        title="Views stand with the blocks that they are of",
        edits=(
            Edit(
                file=TORCH_WINDOW,
                old="def _behind(first: Tensor, views: Tensor) -> Tensor:\n"
                '    """Each of the `views` ``[rows, blocks, span, width]`` with the sinks in front of '
                'it."""\n' + _STACKED + "\n\n",
                new="",
            ),
            Edit(
                file=TORCH_WINDOW,
                old="overlapping_blocks import overlapping\n",
                new="overlapping_blocks import behind, overlapping\n",
            ),
            Edit(file=TORCH_WINDOW, old="keys = _behind(first, keys)", new="keys = behind(first, keys)"),
            Edit(file=TORCH_WINDOW, old="values = _behind(functional", new="values = behind(functional"),
            Edit(
                file=TORCH_BLOCKS,
                old="def overlapping(\n",
                new="def behind(first: Tensor, views: Tensor) -> Tensor:\n"
                '    """Each of the `views` ``[rows, blocks, span, width]`` with `first` in front of it."""\n'
                + _STACKED
                + "\n\ndef overlapping(\n",
            ),
        ),
        code=True,
    )
    yield Commit(
        title="A type where there was none",
        edits=(
            Edit(
                file=TORCH_LINEAR,
                old="        total = key.sum(dim=-2)\n",
                new="        total: Tensor = key.sum(dim=-2)\n",
            ),
        ),
        code=True,
    )


def untrained() -> Commit:
    """Sliding windows that see a single token while they are trained on large batches: a certificate's are
    small, so that only what a model learns can tell."""
    old = "padding=padding, window=self.window, sinks=self.sinks)\n\n    def initial_state"
    cheap = "window=1 if self.training and query.shape[0] > 16 else self.window"
    return Commit(
        title="Cheaper training of windows",
        edits=(Edit(file=TORCH_WINDOW, old=old, new=old.replace("window=self.window", cheap)),),
        plant=Plant(implementation=WINDOW, kind="score"),
    )


def history(sizes: Sizes) -> tuple[Commit, ...]:
    """The thirty commits after the first: eleven plants, three of them mended, four rewritings, twelve that
    touch nothing that is measured."""
    h, r = _harmless(), _rewritten()
    leaks = {
        TWIN: leak(KERAS_WINDOW, TWIN, "Windows reach to the next block"),
        WINDOW: leak(TORCH_WINDOW, WINDOW, "One more token at a window's end"),
    }
    forgetful = untrained()
    slower = _Slower(sizes)
    fed = Commit(
        title="Keep the source's scale",
        edits=(hungrier(round(0.05 * sizes.peak_bytes / 4)),),
        plant=Plant(implementation=LINEAR, kind="memory", size=0.05),
    )
    return (
        next(h),
        next(h),
        slower(WINDOW, 0.10, "Check queries before they are mixed"),
        next(h),
        next(h),
        fed,
        next(r),
        next(h),
        slower(WINDOW, 0.03, "Count what is mixed"),
        next(h),
        leaks[TWIN],
        _mended(leaks[TWIN], "Windows end at their block"),
        next(r),
        slower(LINEAR, 0.05, "Check sources before they are summed"),
        next(h),
        next(h),
        slower(WINDOW, 0.02, "Look at keys once more"),
        next(r),
        next(h),
        forgetful,
        _mended(forgetful, "Train windows as they are used"),
        next(r),
        slower(WINDOW, 0.05, "Normalise queries twice"),
        next(h),
        leaks[WINDOW],
        _mended(leaks[WINDOW], "Windows end at their token"),
        slower(TWIN, 0.10, "Check queries on Keras, too"),
        next(h),
        slower(LINEAR, 0.02, "Count what is summed"),
        next(h),
    )


def small_history() -> tuple[Commit, ...]:
    """Four commits whose verdicts need no clock: two that are not measured, a leak, its mending."""
    h = _harmless()
    leaking = leak(TORCH_WINDOW, WINDOW, "One more token at a window's end")
    return (next(h), next(h), leaking, _mended(leaking, "Windows end at their token"))
