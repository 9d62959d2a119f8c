"""The commands ``delfjax models`` and ``import-weights``, which list and convert models."""

import argparse
from pathlib import Path

from delfjax.cli import options as shared
from delfjax.cli.output import check_model_file, check_outputs, print_result, show
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.factory import DEFAULT_MODEL
from delfjax.features.pca import PCA
from delfjax.models.checkpoints import save_model
from delfjax.models.conversion import WeightsError
from delfjax.models.published import DELF_V1, read_published
from delfjax.models.tensor_bundle import read_datum
from delfjax.models.zoo import ModelCard, model_cards
from delfjax.provenance import to_plain

NOTE = (
    "mAP in percent.\n"
    "rendered: the benchmark rendered+places, 100 features per photo, by the paper's rule of verification.\n"
    "real: 426 web photos of seven landmarks, 100 / 1000 features per photo.\n"
    "Choose a model by --model NAME or, in Python, delfjax.load(NAME)."
)
PCA_FILES = ("mean.datum", "pca_proj_mat.datum", "pca_variances.datum")  # in the folder pca


def models_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax models``."""
    shared.add_json_option(parser)


def models(options: argparse.Namespace) -> int:
    """Run ``delfjax models``."""
    check_outputs(options)
    cards = model_cards()
    result = {name: to_plain(vars(card)) for name, card in cards.items()}
    text = "\n".join(_describe(name, card) for name, card in cards.items())
    return print_result(options, {"models": result}, f"{text}\n{NOTE}")


def _describe(name: str, card: ModelCard) -> str:
    rendered = "not measured" if card.rendered is None else f"{card.rendered:.1f}"
    real = "not measured" if card.real is None else "{:.1f} / {:.1f}".format(*card.real)
    default = " (the default)" if name == DEFAULT_MODEL else ""
    return (
        f"{name}{default}\n"
        f"  training  {card.training}\n"
        f"  features  selected by {card.selection}\n"
        f"  mAP       rendered {rendered}, real {real}\n"
        f"  size      {card.size}\n"
        f"  license   {card.license}\n"
    )


def import_weights_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax import-weights``."""
    path = (
        "unpacked folder of DELF or DELG, a TensorFlow checkpoint (prefix or .index file), or a "
        ".safetensors file with the weights of DeLF-pytorch or of a PyTorch version of DELG"
    )
    parser.add_argument("path", type=Path, metavar="PATH", help=path)
    out = "model file to write, for `delfjax extract --model` and `dx.load`"
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL.safetensors", help=out)
    dimensions = "number of dimensions to keep of the published PCA, if PATH has a PCA"
    default = PCAConfig()
    shared.add_field(parser, default, "dimensions", dimensions, default=default.dimensions)


def import_weights(options: argparse.Namespace) -> int:
    """Run ``delfjax import-weights``: convert published weights to a model file, and their PCA."""
    path, out = options.path, options.out
    check_model_file("--out", out, source=path)
    model = read_published(path)
    spec, known = model.backbone.spec, DELF_V1 if model.is_delf_v1 else None
    imported = {"imported_from": model.source.name, "published_as": known}
    save_model(
        out,
        model.backbone,
        model.attention,
        with_backbone=True,
        training=imported,
        half_precision=False,
    )
    show(
        f"{out}: {spec.name}, blocks {spec.blocks[:3]}, {model.attention.dimensions} dimensions; "
        f"{f'all tensors are those of {known}' if known else 'the checksum matches no known release'}"
    )
    folders = (folder / "pca" for folder in (path, *model.source.parents[:3]))
    if (folder := next(filter(Path.is_dir, folders), None)) is not None:
        pca_path = out.with_name(f"{out.stem}_pca.safetensors")
        _read_pca(folder, options.dimensions).save(pca_path)
        show(f"{pca_path}: written, the PCA of {folder} with {options.dimensions} dimensions")
    return 0


def _read_pca(folder: Path, dimensions: int) -> PCA:
    """Read the published PCA, and keep the first dimensions."""
    mean, components, variances = (read_datum(folder / name) for name in PCA_FILES)
    if components.shape != (mean.size, variances.size) or dimensions > len(components):
        raise WeightsError(
            f"{folder}: mean, matrix and variances have the shapes {mean.shape}, {components.shape} and "
            f"{variances.shape}; expected a square matrix of at least {dimensions} rows, and as many means and "
            "variances. Fix: unpack the archive again, or use a smaller value of --dimensions"
        )
    return PCA(
        mean=mean.ravel(),
        components=components[:dimensions].copy(),
        variances=variances.ravel()[:dimensions].copy(),
    )
