"""The figures: energy of every unit, and the price of the functional unit with its uncertainties apart."""

from __future__ import annotations

from collections.abc import Iterator

from reports import formatting
from reports.audit.asked import Asked, Unit
from reports.audit.carbon import operational_grams
from reports.audit.cases import EACH, MANY, Case
from reports.audit.dossier import Dossier, Weighed, shown
from reports.audit.prices import Price, prices
from reports.audit.ranking import in_words
from reports.audit.readings import TRAINING, Reading
from reports.content import Block, Cell, Group, Paragraph, Section, Table, columns

MILLION = 1e6
NOTHING = Cell(text="not metered")


def figures(dossier: Dossier) -> Section:
    """For each task: the functional unit's price, then energy of training, inference, token, solved item."""
    blocks: list[Block] = []
    for one in dossier.weighed:
        tables: list[Block] = []
        if one.prices:
            tables += [_price_table(dossier.asked, one), _uncertainty_table(dossier.asked, one)]
        else:
            text = f"No energy of {EACH[dossier.asked.unit]} was metered on {one.case.title}."
            tables.append(Paragraph(text=text, warning=True))
        tables += [Paragraph(text=f"{sentence}.") for sentence in one.case.missing]
        tables.append(_energy_table(dossier.asked, one.case))
        blocks.append(Group(title=one.case.title, blocks=tuple(tables), opened=True))
    if not blocks:
        blocks.append(Paragraph(text="No trained model was metered."))
    return Section(name="figures", title="Energy and carbon of the functional unit", blocks=tuple(blocks))


def _price_table(asked: Asked, one: Weighed) -> Table:
    grams = ("O = E · I #", "M #") if asked.intensity else ()
    total = ("SCI score #",) if asked.intensity and not one.no_score else ()
    many = (f"{MANY[asked.unit]} #",) if asked.unit in MANY else ()
    factor = "" if asked.pue is None else f" times PUE {asked.pue:g}"
    caption = f"Price of {EACH[asked.unit]}. E is gross energy of processor and accelerator{factor}."
    rows = tuple(tuple(_price_row(asked, one, price, bool(total))) for price in one.prices.values())
    return Table(
        caption=caption,
        columns=columns("variant", "score", "E #", *grams, *total, *many, "order"),
        rows=rows,
    )


def _price_row(asked: Asked, one: Weighed, price: Price, total: bool) -> Iterator[Cell]:
    joules, deciding = price.estimate(price.joules), price.estimate(price.deciding)
    yield Cell(text=price.name)
    yield _score(one.case, price.name)
    yield Cell(
        text=formatting.quantity(price.kilowatt_hours, "kWh"), notes=(formatting.quantity(joules.mean, "J"),)
    )
    if asked.intensity:
        yield Cell(text=formatting.quantity(price.estimate(price.operational).mean, "g"))
        made = (
            formatting.quantity(price.estimate(price.embodied).mean, "g") if price.embodied else "not given"
        )
        yield Cell(text=made)
    if total:
        scored = price.name in one.case.scores
        text = formatting.quantity(deciding.mean, "g")
        yield Cell(text=text if scored else "no score: accuracy not measured")
    if asked.unit in MANY:
        yield Cell(text=formatting.quantity(deciding.mean * MILLION, price.unit))
    yield _place(one, price)


def _uncertainty_table(asked: Asked, one: Weighed) -> Table:
    what = "E · I + M" if not one.no_score else "E · I" if asked.intensity else "E"
    return Table(
        caption=f"How sure {what} is. Random uncertainty is scatter of what was metered; method uncertainty "
        "is how far the meter or model itself may be off. They differ in kind and are not added. Sources of "
        "intensity and embodied carbon tell no error.",
        columns=columns("variant", "random uncertainty", "method uncertainty", "tier"),
        rows=tuple(
            (
                Cell(text=price.name),
                _random_error(one.case, price),
                _method_error(price),
                Cell(word=price.reading.method, notes=(price.reading.tool,)),
            )
            for price in one.prices.values()
        ),
    )


def _random_error(case: Case, price: Price) -> Cell:
    estimate = price.estimate(price.deciding)
    if estimate.low is None or estimate.high is None:
        return Cell(text="no interval", notes=("a single window says nothing of scatter",))
    return Cell(
        text=_between(estimate.mean, (estimate.low, estimate.high), price.unit),
        notes=(f"{1 - case.alpha:.0%} interval, {price.reading.basis}",),
    )


def _between(mean: float, bounds: tuple[float, float], unit: str) -> str:
    """ "5.84 to 5.88 µg (−0.3% to +0.3%)"."""
    text, interval = formatting.with_bounds(mean, *bounds, unit)
    low, high = (f"{end / mean - 1:+.1%}".replace("-", "−") for end in bounds)
    return f"{interval} {text.rpartition(' ')[2]} ({low} to {high})"


def _score(case: Case, name: str) -> Cell:
    estimate, score = case.score(name), case.scores.get(name)
    if estimate is None or score is None:
        return Cell(text="not measured")
    text, interval = shown(estimate, score.unit)
    seeds = formatting.plural(len(score.by_seed), "seed")
    verdict = case.against_reference(name) if name != case.reference else None
    against = (f"against {case.reference}: {verdict.word}",) if verdict else ()
    return Cell(text=f"{score.metric} {text}", notes=(f"{interval}, {seeds}", *against))


def _method_error(price: Price) -> Cell:
    bounds = price.with_method_error()
    if bounds is None:
        return Cell(text="unknown", notes=("nobody can say how far the method is off",))
    mean = price.estimate(price.deciding).mean
    return Cell(
        text=_between(mean, bounds, price.unit), notes=(price.reading.details.get("method_basis", ""),)
    )


def _place(one: Weighed, price: Price) -> Cell:
    ranking = one.ranking
    if ranking.refusal:
        return Cell(text="not ranked")
    if price.name not in ranking.order:
        return Cell(text="not ranked", notes=(ranking.left_out.get(price.name, ""),))
    place = ranking.order.index(price.name)
    told = [in_words(pair) for pair in ranking.neighbours if pair.cheaper == price.name]
    return Cell(text=str(place + 1), notes=tuple(told))


def _energy_table(asked: Asked, case: Case) -> Table:
    heads = (
        "variant",
        "a training #",
        "an inference #",
        "a token #",
        "a solved item, serving #",
        "a solved item, training #",
        "net of idle",
    )
    grams = ", operational grams with PUE below them" if asked.intensity else ""
    return Table(
        caption=f"Gross joules at the computer, before PUE{grams}. A solved item is a test item answered "
        "rightly; a training's energy is shared among all that its model solves of the test set.",
        columns=columns(*heads),
        rows=tuple(tuple(_energy_row(asked, case, name)) for name in case.names),
    )


def _energy_row(asked: Asked, case: Case, name: str) -> Iterator[Cell]:
    alone = Asked(intensity=asked.intensity)
    units: tuple[Unit, ...] = ("training", "inference", "token")
    found = {unit: prices(case, alone, unit).get(name) for unit in units}
    score = case.scores.get(name)
    yield Cell(text=name)
    for unit in units:
        yield _joules(asked, found[unit])
    rate = case.score(name)
    share = rate.mean if rate and score and score.solved is not None else None
    yield _joules(asked, found["inference"], share)
    yield _joules(asked, found["training"], score.solved if score else None)
    yield Cell(
        text="; ".join(filter(None, (_net(case.training.get(name)), _net(case.serving.get(name)))))
        or "not told"
    )


def _joules(asked: Asked, price: Price | None, share: float | None = 1.0) -> Cell:
    if price is None:
        return NOTHING
    if not share:
        return Cell(text="no score counts solved items")
    joules = price.estimate(price.joules).mean / share
    intensity = asked.grams_per_kilowatt_hour
    if intensity is None:
        return Cell(text=formatting.quantity(joules, "J"))
    grams = operational_grams(joules, pue=asked.applied_pue, grams_per_kilowatt_hour=intensity)
    return Cell(text=formatting.quantity(joules, "J"), notes=(formatting.quantity(grams, "g"),))


def _net(reading: Reading | None) -> str:
    """Net energy as a share of gross."""
    if reading is None or reading.net_joules is None:
        return ""
    what = "training" if reading.phase == TRAINING else "serving"
    return f"{what} {reading.net_joules / reading.joules:.0%} of gross"
