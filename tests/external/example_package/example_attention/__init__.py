"""A variant that attnbench has never heard of."""
