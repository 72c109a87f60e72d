"""How what was measured changed from night to night: series over runs, their steps, the page."""
