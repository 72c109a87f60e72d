"""What changed since an earlier run: certificates and statuses first, then costs and scores that moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports import formatting
from reports.between import Between, Cell, Change, Turn, between
from reports.content import Answer, Answers, Block, Column, Group, Items, Paragraph, Section, Table, columns
from reports.content import Cell as Shown
from reports.failures import shown_subjects, summary
from reports.frame import Results

_ORDER = ("worse", "better", "undecided", "same")
_MOVED = ("worse", "better")
_WHAT = {"time": "time against the reference", "memory": "peak memory"}
_LISTED = 40


def section(earlier: Results, later: Results) -> Section:
    """The comparison of two runs as the first section of the later one's report."""
    found = between(earlier, later)
    judged = [change for change in found.changes if change.judged]
    blocks: list[Block] = [Answers(answers=tuple(_in_short(judged, found.turns)))]
    blocks.append(Items(items=tuple(_sittings(earlier, later))))
    if not found.changes:
        blocks.append(Paragraph(text="The two runs have no figure in common.", warning=True))
    if found.turns:
        blocks.append(_turned(found.turns))
    blocks += _tables(judged, later)
    own = [change for change in found.changes if not change.judged]
    if own:
        table = _table(
            own, "The references' own times. Two sittings differ by the machine too: never judged."
        )
        blocks.append(Group(title="References' own times", blocks=(table,)))
    blocks += _apart(found)
    data = {
        "against": [manifest["run"] for manifest in earlier.manifests],
        "changes": [_as_data(change) for change in found.changes],
        "turns": [{**_named(turn.cell), "before": turn.before, "after": turn.after} for turn in found.turns],
    }
    return Section(name="changes", title="What changed", blocks=tuple(blocks), data=data)


def _in_short(judged: Sequence[Change], turns: Sequence[Turn]) -> Iterator[Answer]:
    for kind, title in (("time", "Time"), ("memory", "Memory"), ("score", "Scores")):
        mine = [change for change in judged if change.kind == kind]
        if mine:
            counts = {word: sum(change.verdict.word == word for change in mine) for word in _ORDER}
            worse = list(dict.fromkeys(c.implementation for c in mine if c.verdict.word == "worse"))
            text = f"worse: {formatting.listed(worse[:3])}" if worse else "nothing worse"
            text += f" and {len(worse) - 3} more" if len(worse) > 3 else ""
            most = max(("undecided", "same"), key=counts.__getitem__)
            word = next((word for word in _MOVED if counts[word]), most)
            told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            yield Answer(
                title=title, word=word, text=text, notes=(f"{told} of {len(mine)}",), target="changes"
            )
    lost = [turn for turn in turns if turn.before == "ok"]
    text = formatting.plural(len(lost), "figure") + " lost" if lost else "nothing lost"
    yield Answer(
        title="Failures and certificates", word="failed" if lost else "ok", text=text, target="changes"
    )


def _sittings(earlier: Results, later: Results) -> Iterator[tuple[str, str]]:
    for title, results in (("Before", earlier), ("After", later)):
        for manifest in results.manifests:
            commit = str((manifest.get("environment") or {}).get("commit") or "commit not recorded")[:12]
            yield title, f"{manifest['run']}, {formatting.moment(manifest['started_at'])}, {commit}"


def _tables(judged: Sequence[Change], later: Results) -> Iterator[Block]:
    """What moved, open to the eye; what did not, folded."""
    ordered = sorted(judged, key=lambda change: (_ORDER.index(change.verdict.word), change.adjusted_p or 0.0))
    moved = [change for change in ordered if change.verdict.word in _MOVED]
    if moved:
        yield _table(moved, f"What moved. {_caption(later)}")
    elif judged:
        yield Paragraph(text="Nothing moved beyond its margin and chance.")
    for word, title in (("undecided", "Undecided"), ("same", "The same within the margin")):
        rest = [change for change in ordered if change.verdict.word == word]
        if rest:
            yield Group(title=f"{title}: {len(rest)}", blocks=(_table(rest, _caption(later)),))


def _caption(later: Results) -> str:
    return (
        "Times: the ratio to the reference of the same launch, over the earlier run's of the launch with "
        "that number; memory: peak over peak; scores: difference, paired by seed over the same examples. In "
        f"brackets the interval. Same: within {later.margin:.0%}, scores within their margins. Error rate "
        f"{later.alpha:g} over all costs, {later.score_alpha:g} over all scores."
    )


def _table(changes: Sequence[Change], caption: str) -> Table:
    heads = columns("implementation", "work", "what", "change", "before #", "after #")
    return Table(caption=caption, columns=heads, rows=tuple(_row(change) for change in changes))


def _row(change: Change) -> tuple[Shown, ...]:
    _, metric, subject, implementation = change.cell
    what = _WHAT.get(change.kind, metric) if change.judged else "own time"
    values = (
        Shown(text=formatting.quantity(v, change.unit), number=v) for v in (change.before, change.after)
    )
    return Shown(text=implementation), Shown(text=subject), Shown(text=what), _changed(change), *values


def _changed(change: Change) -> Shown:
    verdict = change.verdict
    score = change.kind == "score"
    unit = change.unit if score else "ratio"
    text, interval = formatting.with_bounds(verdict.ratio, verdict.low, verdict.high, unit, signed=score)
    count = formatting.plural(len(change.effects), "seed" if score else "launch")
    count += f", over {formatting.plural(change.examples, 'example')}" if change.examples else ""
    word = verdict.word if change.judged else "not judged"
    notes = (f"({interval})", count, *((verdict.reason,) if verdict.reason and change.judged else ()))
    return Shown(word=word, text=text, notes=notes, number=verdict.ratio)


def _turned(turns: Sequence[Turn]) -> Table:
    groups: dict[tuple[str, str, str, str, str], list[str]] = {}
    for turn in sorted(turns, key=lambda turn: turn.before != "ok"):
        suite, metric, subject, implementation = turn.cell
        what = f"{metric} on {subject}" if suite == "certificate" else subject
        groups.setdefault((implementation, suite, turn.before, turn.after, turn.reason), []).append(what)
    rows = tuple(
        (
            Shown(text=implementation),
            Shown(text=suite),
            Shown(text=shown_subjects(tuple(dict.fromkeys(what)))),
            Shown(word=before),
            Shown(word=after, notes=(summary(reason),) if reason else ()),
        )
        for (implementation, suite, before, after, reason), what in groups.items()
    )
    heads: tuple[Column, ...] = columns("implementation", "what", "work", "before", "after")
    return Table(
        caption="What could be measured in one run only, and what held in one only.", columns=heads, rows=rows
    )


def _apart(found: Between) -> Iterator[Block]:
    """What has nothing to be held against, by implementation and suite."""
    lines = [
        (title, "; ".join(_counted(cells)))
        for title, cells in (("Only before", found.only_before), ("Only after", found.only_after))
        if cells
    ]
    if lines:
        yield Group(title="What only one of the runs has", blocks=(Items(items=tuple(lines)),))


def _counted(cells: Sequence[Cell]) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = {}
    for suite, _, _, implementation in cells:
        counts[suite, implementation] = counts.get((suite, implementation), 0) + 1
    shown = list(counts.items())
    for (suite, implementation), count in shown[:_LISTED]:
        yield f"{implementation}, {suite}: {formatting.plural(count, 'figure')}"
    if len(shown) > _LISTED:
        yield f"and {len(shown) - _LISTED} more"


def _named(cell: Cell) -> dict[str, str]:
    return dict(zip(("suite", "metric", "subject", "implementation"), cell, strict=True))


def _as_data(change: Change) -> dict[str, Any]:
    verdict = change.verdict
    return {
        **_named(change.cell),
        "kind": change.kind,
        "unit": change.unit,
        "before": change.before,
        "after": change.after,
        "word": verdict.word if change.judged else "not judged",
        "estimate": verdict.ratio,
        "low": verdict.low,
        "high": verdict.high,
        "level": verdict.level,
        "margin": verdict.margin,
        "pairs": len(change.effects),
        "examples": change.examples,
        "adjusted_p": change.adjusted_p,
        "reason": verdict.reason,
    }
