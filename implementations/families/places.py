"""Where the code of each framework stands."""

TORCH = "implementations.on_torch"
KERAS = "implementations.on_keras"
DEFINITIONS = "implementations.definitions"
