"""How models are trained alike for every variant, scored, kept, and opened again for what comes after."""
