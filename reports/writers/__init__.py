"""What writes a report: one module a format, and what they share."""
