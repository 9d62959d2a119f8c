"""Write ``docs/_static/attention_explorer.html``, the explorer on the site: ``python docs/attention_explorer.py``.

The page shows four rendered landmarks and two photos of scikit-learn. Make it again after a change of
``delfjax/widgets/attention.js`` or of the models. It takes about a minute.
"""

from pathlib import Path

from sklearn.datasets import load_sample_image

import delfjax as dx

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "_static" / "attention_explorer.html"
LANDMARKS = ("blue_portal", "striped_duomo", "chariot_arch", "statue_bridge")
TEXT = (
    "Both models have a ResNet-50 as backbone. ImageNet: trained on ImageNet only, with an attention head "
    "trained on rendered landmarks. Fine-tuned: the backbone was trained on rendered landmarks, too. Neither "
    "model has seen these landmarks. Photos: temple and flower come with scikit-learn (CC BY 2.0); the "
    "others were rendered with Blender for delfjax."
)


def main() -> None:
    """Run both models on all photos, and write the page."""
    photos = {"temple": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg")}
    folder = ROOT / "data" / "landmarks" / "eval" / "images"
    for name in LANDMARKS:
        photos[name] = dx.read_image(folder / f"{name}_000.jpg")
    config = dx.ExtractionConfig(pyramid=dx.PyramidConfig(longest=640))
    models = {"fine-tuned": dx.load("delf_ft_att", config), "ImageNet": dx.load("delf_att", config)}
    dx.explore(photos, models).save(PAGE, title="Attention explorer", text=TEXT)
    print(f"{PAGE}: {PAGE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
