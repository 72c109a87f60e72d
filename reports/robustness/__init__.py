"""The view of accuracy under attack."""
