"""Attacks on trained classifiers, framework-free: NumPy arrays against a `Victim`."""
