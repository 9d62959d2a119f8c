"""Save and load models as safetensors files.

A model file holds an attention head, a backbone up to conv4 with folded batch norms, or both. The
metadata of the file hold a JSON object, the manifest. If training did not change the backbone, the
file holds only the checksum of the backbone. `load_model` then uses the backbone with this checksum
from another model file in the same folder. If there is none, it loads the ImageNet weights.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from delfjax import provenance
from delfjax.files import read_header, read_tensors, reading, write_tensors
from delfjax.models import weights
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet, build, checksum, fold_batch_norm, named_parameters
from delfjax.models.conversion import Tensors, WeightsError
from delfjax.models.resnet import SPECS, ResNetSpec
from delfjax.models.zoo import zoo


def model_path(name_or_path: str | Path, others: Sequence[str] = ()) -> Path:
    """Return the path of a model file.

    ``name_or_path`` is a name in `zoo` or a path. Names have priority. The error message lists the
    names in the zoo and in ``others``.

    Raises:
        WeightsError: If the name is unknown, and no file has this path.
    """
    models = zoo()
    path = models.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        found = "not a model file" if path.exists() else "no such model file"
        raise WeightsError(
            f"{name_or_path}: {found}, and not one of the models "
            f"{', '.join([*models, *others])}. Fix: pass the path of a .safetensors file, or one of these names"
        )
    return path


def save_model(
    path: Path,
    backbone: ResNet,
    attention: Attention | None,
    *,
    with_backbone: bool,
    training: Mapping[str, Any],
    half_precision: bool = True,
) -> None:
    """Save a model as one safetensors file.

    Args:
        path: Path of the file. Missing folders are created.
        backbone: Backbone with folded batch norms.
        attention: Attention head. None: the model has no attention head.
        with_backbone: Whether to save the backbone. If False, only the checksum is saved.
        training: Description of the training, for the manifest.
        half_precision: Whether to round the parameters to half precision.

    Raises:
        WeightsError: If a parameter is NaN, or too large for the precision.
        StoreError: If the file cannot be written.
    """
    tensors: Tensors = {}
    spec, precision = backbone.spec, np.float16 if half_precision else np.float32
    if with_backbone:
        tensors |= _parameters("backbone", backbone, precision)
        # The checksum in the manifest is that of the rounded parameters.
        backbone = _build_backbone(spec, tensors)
    if attention is not None:
        tensors |= _parameters("attention", attention, precision)
    described: dict[str, Any] = {"name": spec.name, "checksum": checksum(nnx.state(backbone))}
    if SPECS.get(spec.name) != spec:
        described["spec"] = provenance.config_to_dict(spec)
    manifest = {
        "holds": sorted({name.split(".")[0] for name in tensors}),
        "backbone": described,
        "sha256": checksum(tensors),
        "training": provenance.to_plain(training),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, manifest)


def read_manifest(name_or_path: Path | str) -> dict[str, Any]:
    """Read the manifest of a model.

    The manifest has the keys ``holds`` (parts in the file), ``backbone`` (name, checksum, and the
    fields of its `ResNetSpec` if it is not one of `SPECS`), ``sha256`` (checksum of the tensors) and
    ``training`` (description of the training).

    Raises:
        WeightsError: If the model does not exist, is damaged, or is not a model of delfjax.
    """
    path = model_path(name_or_path)
    with _reading_model(path):
        manifest = read_header(path)
        manifest.pop("tensors", None)
        return _check_manifest(manifest)


def _reading_model(path: Path) -> AbstractContextManager[None]:
    fix = "copy the file again, or pass a file of `delfjax train` or `delfjax import-weights`"
    return reading(path, "a trained model of delfjax", fix=fix, error=WeightsError)


def _check_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    backbone, holds = manifest["backbone"], manifest["holds"]
    if not {*holds} or not {*holds} <= {"attention", "backbone"}:
        raise ValueError(f"it holds {holds}; expected attention, backbone or both")
    known = backbone["name"] in SPECS or "spec" in backbone
    if not known or not isinstance(backbone["checksum"], str):
        raise ValueError(f"its backbone is {backbone['name']}, not one of {', '.join(SPECS)}")
    return manifest


def _spec(backbone: Mapping[str, Any]) -> ResNetSpec:
    """Return the specification of the backbone of a manifest."""
    if "spec" in backbone:
        return provenance.config_from_dict(ResNetSpec, backbone["spec"])
    return SPECS[backbone["name"]]


def load_model(
    name_or_path: Path | str, *, imagenet: Path | str | None = None
) -> tuple[ResNet, Attention | None]:
    """Load a model: the backbone with folded batch norms, and the attention head or None.

    ``imagenet`` is a file with ImageNet weights, and is used only if `needs_imagenet` is True for
    the model. None: the weights are downloaded.

    Raises:
        WeightsError: As in `read_manifest`, or if the backbone of the model is not found.
    """
    path = model_path(name_or_path)
    backbone = attention = None
    with _reading_model(path):
        tensors, manifest = read_tensors(path)
        _check_manifest(manifest)
        if manifest["sha256"] != checksum(tensors):
            raise ValueError("its tensors do not match the checksum in its manifest")
        if "backbone" in manifest["holds"]:
            backbone = _build_backbone(_spec(manifest["backbone"]), tensors)
        if "attention" in manifest["holds"]:
            attention = build_attention(tensors, "attention.")
    if backbone is None:
        other = _backbone_file(path, manifest)
        backbone = (
            load_model(other)[0] if other else _imagenet(path, manifest["backbone"], imagenet)
        )
    return backbone, attention


def needs_imagenet(name_or_path: Path | str) -> bool:
    """Return whether `load_model` needs ImageNet weights, because no model file has the backbone.

    Raises:
        WeightsError: As in `read_manifest`.
    """
    return _backbone_file(model_path(name_or_path), read_manifest(name_or_path)) is None


def _backbone_file(path: Path, manifest: Mapping[str, Any]) -> Path | None:
    """Return the model file, ``path`` or another one in its folder, that holds the backbone."""
    for other in (path, *sorted(path.parent.glob("*.safetensors"))):
        with suppress(WeightsError):  # skip files that are not models
            found = read_manifest(other)
            if found["backbone"] == manifest["backbone"] and "backbone" in found["holds"]:
                return other
    return None


def _imagenet(path: Path, expected: Mapping[str, str], file: Path | str | None) -> ResNet:
    """Load the ImageNet backbone of a model, and check that it is the expected one."""
    backbone = fold_batch_norm(weights.load_backbone(_spec(expected), file=file))
    if (found := checksum(nnx.state(backbone))) != expected["checksum"]:
        raise WeightsError(
            f"{path}: this model needs the backbone {expected['name']} with checksum "
            f"{expected['checksum'][:16]}. No model file in {path.parent} holds this backbone, and "
            f"{file or 'the ImageNet backbone'} has the checksum {found[:16]}. "
            "Fix: copy the model file that holds the backbone to this folder"
        )
    return backbone


def _parameters(part: str, module: nnx.Module, precision: type[np.floating]) -> Tensors:
    tensors = {}
    for name, values in named_parameters(nnx.state(module)).items():
        full = np.asarray(values[...], np.float32)
        limit = float(np.finfo(precision).max)
        if not (largest := np.abs(full).max()) <= limit:  # written this way, it also catches NaN
            raise WeightsError(
                f"the parameter {part}.{name} has values up to {largest:.3g}; expected at most {limit:.6g}, the "
                f"limit of {precision.__name__}. Fix: train again with a lower learning rate, or use other weights"
            )
        tensors[f"{part}.{name}"] = np.ascontiguousarray(full.astype(precision))
    return tensors


def _build_backbone(spec: ResNetSpec, tensors: Tensors) -> ResNet:
    return build(lambda: ResNet(spec, folded=True, rngs=nnx.Rngs(0)), tensors, "backbone.")


def build_attention(tensors: Mapping[str, np.ndarray], prefix: str = "") -> Attention:
    """Create an attention head with the given parameters. Arguments and errors: see `build`."""
    channels, hidden = tensors[f"{prefix}hidden.kernel"].shape[2:]
    projected = expanded = None
    if f"{prefix}expand.kernel" in tensors:
        expanded = channels
    if f"{prefix}reduce.kernel" in tensors:
        channels, projected = tensors[f"{prefix}reduce.kernel"].shape[2:]
    return build(
        lambda: Attention(
            channels, hidden=hidden, projected=projected, expanded=expanded, rngs=nnx.Rngs(0)
        ),
        tensors,
        prefix,
    )
