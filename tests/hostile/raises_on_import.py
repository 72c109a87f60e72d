"""Cannot even be imported."""

raise RuntimeError("this module refuses to load")
