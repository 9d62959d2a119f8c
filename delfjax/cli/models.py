"""The command ``delfjax models``, which lists the models that can be loaded by name."""

import argparse

from delfjax.cli.options import add_json_option
from delfjax.cli.output import check_outputs, print_result
from delfjax.features.factory import DEFAULT_MODEL
from delfjax.models.zoo import ModelCard, model_cards
from delfjax.provenance import to_plain

NOTE = (
    "mAP in percent. rendered: the benchmark rendered+places, 100 features per photo.\n"
    "real: 426 web photos of seven landmarks, 100 / 1000 features per photo.\n"
    "Choose a model by --model NAME or, in Python, delfjax.load(NAME)."
)


def models_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax models``."""
    add_json_option(parser)


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
