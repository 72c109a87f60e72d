"""What a gate writes: page, comment, JUnit, JSON."""
