"""List the models that come with delfjax (the zoo). The README in this folder describes their training."""

from pathlib import Path


def zoo() -> dict[str, Path]:
    """Return the files of the models that come with delfjax, by model name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}
