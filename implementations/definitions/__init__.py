"""Every variant written out in float64 NumPy, straight from its paper: what certificates hold it against."""
