"""The views of a report, in the order of the page, and the formats that it is written in.

Only names stand here: nothing that draws or tabulates is imported until a report is written.
"""

from __future__ import annotations

from bench.schema import View

VIEWS: tuple[View, ...] = (
    View(name="overview", title="The answer", target="reports.overview:render"),
    View(name="verdicts", title="Verdicts", target="reports.verdicts:render"),
    View(name="crossover", title="Where a variant starts to pay", target="reports.crossover:render"),
    View(name="scaling", title="How cost grows with length", target="reports.scaling:render"),
    View(name="tradeoff", title="Score against cost", target="reports.learnt.tradeoff:render"),
    View(name="energy", title="Energy, and how it is known", target="reports.energy.view:render"),
    View(name="accuracy", title="Scores on each task", target="reports.learnt.accuracy:render"),
    View(name="robustness", title="Accuracy under attack", target="reports.robustness.view:render"),
    View(name="training", title="How training went", target="reports.learnt.training:render"),
    View(
        name="explanations",
        title="What decided, and whether to believe it",
        target="reports.explanations:render",
    ),
    View(
        name="transfer",
        title="What knowledge from elsewhere is worth",
        target="reports.learnt.transfer:render",
    ),
    View(name="figures", title="Every figure", target="reports.figures:render"),
    View(name="failures", title="What failed and why", target="reports.failures:render"),
    View(name="checks", title="How far to trust this run", target="reports.checks:render"),
    View(name="environment", title="Where it was measured", target="reports.environment:render"),
    View(name="reproduce", title="How to reproduce it", target="reports.reproduce:render"),
)

FORMATS: dict[str, str] = {
    "html": "reports.writers.html:write",
    "markdown": "reports.writers.markdown:write",
    "csv": "reports.writers.figures_csv:write",
    "json": "reports.writers.json_report:write",
    "latex": "reports.writers.latex:write",
}

WRITER = "reports.page:write_reports"
AUDITOR = "reports.audit.writing:write_audit"
HISTORY = "reports.history.page:write_history"
