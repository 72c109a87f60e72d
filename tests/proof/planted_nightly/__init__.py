"""What asv measures of a planted commit: a folder of its own, because asv imports it by its basename."""
