"""The models that come with delfjax: DELF trained on rendered landmarks (see the README in this folder)."""

from pathlib import Path

from delfjax.models.conversion import WeightsError


def zoo() -> dict[str, Path]:
    """Return the files of the models that come with delfjax, by model name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}


def model_path(name_or_path: str | Path) -> Path:
    """Return the file of a model.

    Args:
        name_or_path: Name of a model in the zoo, or path of a ``.safetensors`` file. A name in the
            zoo takes precedence over a file of the same name.

    Raises:
        WeightsError: If there is neither such a model nor such a file.
    """
    models = zoo()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        raise WeightsError(
            f"{name_or_path}: no such model file, and no such model in the zoo. Fix: pass the path of "
            f"a .safetensors file, or one of the names {', '.join(models)}"
        )
    return path
