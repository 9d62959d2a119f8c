"""List the models of delfjax. The README in this folder describes their training."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Description of a model that ``delfjax.load`` loads by name.

    Attributes:
        selection: Score by which the model selects features.
        training: Data on which the model was trained, and what was trained.
        size: Size of the model file, and what else is downloaded.
        license: Licenses of the model and of the weights from which its training started.
        rendered: mAP in percent on the benchmark ``rendered+places``. None: not measured.
        real: mAP in percent on 426 web photos, with 100 and 1000 features per photo.
    """

    selection: str
    training: str
    size: str
    license: str
    rendered: float | None = None
    real: list[float] | None = None


def zoo() -> dict[str, Path]:
    """Return a dict from name to file of each trained model that is part of delfjax."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def model_cards() -> dict[str, ModelCard]:
    """Return a dict from name to description of each model, the default model first."""
    entries = tomllib.loads((FOLDER / "models.toml").read_text())
    return {name: ModelCard(**entry) for name, entry in entries.items()}
