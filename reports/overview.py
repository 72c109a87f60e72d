"""The answer before everything else: on each axis who gains most over its reference, and what to mind.

Nothing is judged here: the verdicts are those of the table below, and only decided ones are named. One whose
certificate failed is not what its name says, and is named as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.statistics import false_alarms
from reports import formatting
from reports.comparison import Comparison
from reports.comparisons import control_effects
from reports.content import Answer, Answers, Block, Paragraph, Section
from reports.directions import better, is_control
from reports.energy.pairs import unranked
from reports.evidence import Evidence
from reports.failures import failures
from reports.headline import Heading, headline
from reports.learnt.outdone import in_short, outdone

_WORDS = ("better", "worse", "same", "undecided")


def render(evidence: Evidence) -> Section:
    """A tile an axis, then what to mind; every tile leads to where its figures stand."""
    chosen = headline(evidence.comparisons)
    answers = [
        _answer(evidence, heading, [c for key, c in chosen.items() if key[2] == heading])
        for heading in dict.fromkeys(key[2] for key in chosen)
    ]
    blocks: list[Block] = [Answers(answers=tuple(answers))] if answers else []
    if not answers:
        blocks.append(Paragraph(text="Nothing has been measured yet that can be compared with a reference."))
    blocks.append(Answers(answers=tuple(_to_mind(evidence))))
    data = [
        {"axis": one.title, "word": one.word, "answer": one.text, "notes": list(one.notes)} for one in answers
    ]
    return Section(name="overview", title="The answer", blocks=tuple(blocks), data=data)


def _answer(evidence: Evidence, heading: Heading, cells: Sequence[Comparison]) -> Answer:
    """The candidate that gains most, or that none does, or that nothing is decided."""
    counts = {word: sum(c.verdict.word == word for c in cells) for word in _WORDS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    gains = [c for c in cells if c.verdict.word == "better"]
    if gains:
        best = min(gains, key=lambda c: _loss(heading, c))
        return _leader(evidence, heading, best, told)
    references = formatting.listed(list(dict.fromkeys(c.reference for c in cells)))
    if counts["undecided"] == len(cells):
        text = "refused: modelled only" if all(map(unranked, cells)) else "nothing decided yet"
        return Answer(
            title=heading.title,
            word="undecided",
            text=text,
            notes=(f"against {references}",),
            target="verdicts",
        )
    text = f"none is better than {references}"
    return Answer(
        title=heading.title,
        word="same" if counts["same"] else "worse",
        text=text,
        notes=(told, *_outdone(evidence, heading)),
        target="verdicts",
    )


def _loss(heading: Heading, comparison: Comparison) -> float:
    """What is least for the one that gains most."""
    estimate = comparison.verdict.ratio or 0.0
    higher = heading.axis == "score" and better("accuracy", comparison.metric) == "higher"
    return -estimate if higher else estimate


def _leader(evidence: Evidence, heading: Heading, best: Comparison, told: str) -> Answer:
    verdict = best.verdict
    signed = heading.axis == "score"
    text, interval = formatting.with_bounds(
        verdict.ratio, verdict.low, verdict.high, best.unit, signed=signed
    )
    place = f", {formatting.length(best.length)} tokens" if best.length else ""
    notes = [f"{text} ({interval}) against {best.reference}{place}", told, *_outdone(evidence, heading)]
    if _broken(evidence, best):
        notes.append("its certificate failed: it is not what its name says")
    if is_control(best.implementation.rpartition("@")[0]):
        notes.append("a control, which others must beat to have learnt through their mixing")
    if best.provisional:
        notes.append("provisional")
    return Answer(
        title=heading.title,
        word="better",
        text=best.implementation,
        notes=tuple(notes),
        source=best,
        target="verdicts",
    )


def _outdone(evidence: Evidence, heading: Heading) -> list[str]:
    """The trivial answers that beat a variant, which a reader of scores must know."""
    return (
        in_short(outdone(evidence.figures, heading.subject, heading.metric))
        if heading.axis == "score"
        else []
    )


def _broken(evidence: Evidence, comparison: Comparison) -> bool:
    rows = evidence.results.select("certificate")
    mine = rows[rows["implementation"] == comparison.implementation]
    return bool(((mine["environment_id"] == comparison.environment_id) & (mine["status"] == "failed")).any())


def _to_mind(evidence: Evidence) -> Iterator[Answer]:
    """Certificates, failures, the run's own false alarms, verdicts that may change."""
    results = evidence.results
    rows = results.select("certificate")
    if len(rows):
        bad = sorted(set(rows[rows["status"] == "failed"]["implementation"]))
        text = f"failed: {formatting.listed(bad)}" if bad else "all hold"
        yield Answer(title="Certificates", word="failed" if bad else "ok", text=text, target="verdicts")
    found = failures(results.frame)
    text = (
        f"{formatting.plural(len(found), 'reason')}, {_affected(found)}"
        if found
        else "nothing failed or is missing"
    )
    yield Answer(
        title="Not measured",
        word="failed" if any(f.status == "failed" for f in found) else "",
        text=text,
        target="failures",
    )
    alarms, cells = false_alarms(list(control_effects(results).values()), results.alpha)
    if cells:
        text = f"{alarms} of {cells} A/A pairs differ"
        yield Answer(title="False alarms", word="false alarm" if alarms else "ok", text=text, target="checks")
    provisional = sum(comparison.provisional for comparison in evidence.comparisons)
    if evidence.comparisons:
        text = f"{provisional} of {len(evidence.comparisons)} verdicts"
        yield Answer(
            title="Provisional", word="undecided" if provisional else "ok", text=text, target="checks"
        )


def _affected(found: Sequence[Any]) -> str:
    names = dict.fromkeys(failure.implementation for failure in found)
    return formatting.plural(len(names), "implementation")
