"""The floor of attnbench: schema, registry, plan, launches, statistics, store and command line.

Imports nothing of `implementations`, `suites` or `reports`, and no framework: what is built in
comes through the same entry points as what users bring (see `bench.registry`).
"""
