"""The gate: two versions of the code under test, measured by one engine, and what became worse."""
