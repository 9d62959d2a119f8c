"""Load a model that extracts local features, by its name or from a file."""

from pathlib import Path

from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import Backend, ExtractionConfig, Extractor
from delfjax.features.handcrafted import NAMES as HANDCRAFTED
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.features.store import FILE, FeatureStore, store_errors
from delfjax.files import StoreError, sha256
from delfjax.models import checkpoints
from delfjax.models import weights as pretrained
from delfjax.models.resnet import PUBLISHED
from delfjax.models.resnet import SPECS as BACKBONES
from delfjax.models.zoo import zoo
from delfjax.provenance import config_from_dict
from delfjax.ranges import ConfigError

DEFAULT_MODEL = "delf_att_projected"  # the highest mAP of the zoo on web photos


def model_names() -> tuple[str, ...]:
    """Return the names of all trained models, ImageNet backbones and handcrafted features."""
    return (*zoo(), *PUBLISHED, *HANDCRAFTED)


def load(
    model: str | Path = DEFAULT_MODEL,
    config: ExtractionConfig | None = None,
    *,
    weights: Path | str | None = None,
    backend: Backend = "jax",
) -> LocalExtractor:
    """Load a model that extracts local features.

    Args:
        model: One of `model_names`, or the path of a ``.safetensors`` file from ``delfjax train`` or
            ``delfjax import-weights``. ImageNet backbones have no attention head and select features
            by the L2 norm.
        config: Settings of the extraction. None: the scales of the paper, and selection by
            attention if the model has an attention head.
        weights: File with the weights of the ImageNet backbone of the model. None: the weights are
            downloaded if the model needs them.
        backend: Library that runs the network: ``"jax"``, or ``"openvino"``, an extra that is faster
            on CPUs. Features are equal up to rounding errors.

    Returns:
        An extractor. ``extractor(photo)`` returns the `Features` of a photo.

    Raises:
        WeightsError: If the model does not exist, or its weights cannot be read or downloaded.
        ConfigError: If ``weights`` is given, but the model needs none: SIFT, RootSIFT, and models
            whose files include the backbone. Also if ``backend`` is unknown, or if OpenVINO cannot
            run the model: SIFT, RootSIFT, and networks with TensorFlow padding or an autoencoder.
        ImportError: If the package of the backend is not installed.
    """
    name = str(model)
    if backend != "jax" and name in HANDCRAFTED:
        raise ConfigError(
            f'backend is {backend!r}, but {name} has no network. Fix: use the backend "jax"'
        )
    if weights is not None and not _has_imagenet_backbone(name):
        raise ConfigError(
            f"weights is {weights}, but the model {name!r} has no ImageNet backbone. "
            "Fix: leave the weights out, or choose another model"
        )
    if name in HANDCRAFTED:
        return HandcraftedExtractor(name, config)
    if name in BACKBONES:
        backbone = pretrained.load_backbone(BACKBONES[name], file=weights)
        return Extractor(backbone, None, config, name, backend=backend)
    path = checkpoints.model_path(model, (*PUBLISHED, *HANDCRAFTED))
    network = checkpoints.load_model(path, imagenet=weights)
    return Extractor(*network, config, path.stem, backend=backend)


def _has_imagenet_backbone(name: str) -> bool:
    if name in HANDCRAFTED:
        return False
    return name in BACKBONES or checkpoints.needs_imagenet(name)


def model_sha256(model: str | Path) -> str | None:
    """Return the SHA-256 of a model file. None for ImageNet backbones and handcrafted features."""
    if str(model) in (*BACKBONES, *HANDCRAFTED):
        return None
    return sha256(checkpoints.model_path(model))


def extractor_of(
    store: FeatureStore,
    model: str | Path | None = None,
    *,
    weights: Path | str | None = None,
    backend: Backend = "jax",
) -> LocalExtractor:
    """Load the model that extracted the features of a store.

    ``model``, ``weights`` and ``backend`` are arguments of `load`. ``model`` may be None if one of
    `model_names` extracted the features.

    Raises:
        StoreError: If ``model`` did not extract the features or, without ``model``, none of
            `model_names` did. Also if the settings of the store are damaged.
    """
    made_by = store.made_by
    with store_errors(store.path / FILE):
        name, checksum, settings = (made_by[key] for key in ("backbone", "model", "extraction"))
        if not isinstance(name, str):
            raise ValueError(f"the backbone is {name!r}; expected a name")
        config = config_from_dict(ExtractionConfig, settings)
    candidates = [model] if model else _candidates(name, config.selection)
    for candidate in candidates:
        file = weights if model or _has_imagenet_backbone(str(candidate)) else None
        extractor = load(candidate, weights=file, backend=backend)
        if extractor.checksum == checksum:
            return extractor.with_config(config)
    tried = f", not by {' or '.join(map(str, candidates))}" if candidates else ""
    raise StoreError(
        f"{store.path}: the features were extracted by a model with the backbone {name}{tried}. "
        "Fix: pass the file of this model (--model), or extract again into a new store"
    )


def _candidates(backbone: str, selection: str | None) -> list[str]:
    """Return the models that may have extracted a store, which records only their backbone."""
    if backbone in HANDCRAFTED:
        return [backbone]
    trained = [n for n in zoo() if checkpoints.read_manifest(n)["backbone"]["name"] == backbone]
    trained.sort(key=lambda name: name != DEFAULT_MODEL)
    has_norm = selection != "attention" and backbone in BACKBONES
    return [backbone, *trained] if has_norm else trained
