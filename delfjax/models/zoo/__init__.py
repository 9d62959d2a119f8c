"""The zoo: models that come with delfjax, trained on rendered landmarks (see the README in this folder)."""

from pathlib import Path


def zoo() -> dict[str, Path]:
    """Return the files of the models that come with delfjax, by model name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}
