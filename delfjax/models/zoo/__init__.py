"""List the trained models of delfjax. The README in this folder describes their training."""

from pathlib import Path


def zoo() -> dict[str, Path]:
    """Return a dict from name to file of each trained model that is part of delfjax."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}
