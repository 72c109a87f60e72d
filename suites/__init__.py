"""How it is measured: one file an axis, one row a suite in `suites.catalog`, tasks under `suites.tasks`."""
