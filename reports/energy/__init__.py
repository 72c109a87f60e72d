"""Energy in the report: verdicts, figures, tables and plots of what was metered, and how it is known."""
