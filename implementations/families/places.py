"""Where the code of each framework stands."""

TORCH = "implementations.on_torch"
KERAS = "implementations.on_keras"
DEFINITIONS = "implementations.definitions"


def on_both(target: str) -> dict[str, str]:
    """The targets of what is called ``"module:Name"`` on both frameworks."""
    return {"torch": f"{TORCH}.{target}", "keras": f"{KERAS}.{target}"}
