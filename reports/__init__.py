"""How it is told: measurements in, one page out.

`frame` reads runs into one tidy table, `comparisons` and `estimates` turn it into verdicts and figures,
one module a view lays them out, and `page`, `markdown`, `figures_csv` and `json_report` write them down.
"""
