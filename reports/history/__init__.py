"""How what was measured changed from night to night: series over runs, their steps, and the page about them."""
