# %% [markdown]
# # The data: landmarks of which we know the truth
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 3 (Figs. 2 and 3: Google-Landmarks) and Section 5 (benchmarks). **You will see** the landmarks
# that come with this repository, how their photos are sorted into good, ok and junk, where their
# cameras stood, and how the real benchmarks come through the same door. **Cost:** ten seconds; nothing
# is downloaded.

# %%
import json
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from delfjax import datasets, plots, provenance
from delfjax.datasets import rendered
from delfjax.datasets.catalog import data_folder
from delfjax.images.reading import read_image

# %%
SEED = 0  # of the photos that are shown
DATA = data_folder()  # where real benchmarks lie, if you have some: $DELFJAX_DATA
FIGURES = Path("figures")
random, on_disk = np.random.default_rng(SEED), datasets.available(DATA)
print(provenance.versions())

# %% [markdown]
# ## Sixty invented landmarks
#
# The paper's photos belong to their photographers. Ours show procedural architecture of famous kinds,
# rendered by Blender's Cycles (`data/render`), and belong to nobody (CC0): 49 landmarks to train on, 11
# others to evaluate on.

# %%
sheet = read_image(rendered.ROOT / "contact_sheet.jpg")
plots.photos([sheet], ["one photo of each landmark"])

# %%
training, benchmark = rendered.training_photos(), rendered.load()
print(f"training:   {len(training)} photos of {len(set(training.labels))} landmarks")
print(f"evaluation: {len(benchmark.base_photos)} photos of 11 other landmarks,")
print(f"            {benchmark.distractor_count} of places without a landmark")
print(f"queries:    {len(benchmark.queries)}, and {len(benchmark.distractor_queries)} distractor queries")
print("damaged files:", rendered.damaged() or "none")

# %% [markdown]
# ## What a training photo looks like
#
# Every row is one landmark, as tourists take it: from near and far, by day and at night, in fog, over
# the heads of others. Only the name of the landmark is known in training. Houses,
# trees, people and lamp posts come from one stock, and the same house stands in many places: a cell that
# sees one does not help to name the landmark. This is what attention can learn.

# %%
labels = sorted(random.choice(sorted(set(training.labels)), 5, replace=False))
names = [name for label in labels for name in training.names if name.startswith(f"{label}/")]
chosen = [names[15 * row + column] for row in range(5) for column in range(7)]
captions = ["" if k % 7 else name.split("/")[0] for k, name in enumerate(chosen)]
plots.photos([training.load(name) for name in chosen], captions, columns=7, width=12)

# %% [markdown]
# ## Queries (as in Fig. 2)
#
# As in Oxford5k each landmark of the evaluation has five queries, and a query is a *part* of a photo:
# its box. The landmarks are not among those of the training.

# %%
shown = [benchmark.queries[5 * k + k % 5] for k in range(11)]
queries = plots.photos(
    [read_image(benchmark.root / query.photo) for query in shown],
    [query.name for query in shown],
    boxes=[query.box for query in shown],
    columns=6,
    width=12,
)
queries.save(FIGURES / "data_queries.jpg")
queries

# %% [markdown]
# Photos of places without a landmark make the search harder (first row), and some are queries to which no
# photo is the answer (second row): a good system scores their results low. Both come from different places.

# %%
places = random.choice(benchmark.distractor_photos.names, 7, replace=False)
distractor_queries = random.choice([query.photo for query in benchmark.distractor_queries], 7, replace=False)
mixed = [read_image(benchmark.root / name) for name in chain(places, distractor_queries)]
plots.photos(mixed, columns=7, width=12)

# %% [markdown]
# ## What no collection of photos knows
#
# Of each evaluation photo we know which pixels are the landmark. With it, attention can be measured: does
# it look at the landmark, or at the houses beside it?

# %%
truths = rendered.annotations()
known = [truth for truth in truths.values() if truth.landmark]
few = [known[k] for k in random.choice(len(known), 6, replace=False)]
pictures = [read_image(benchmark.root / truth.photo) for truth in few]
told = [f"{truth.visible_fraction:.0%} shown, {truth.area_fraction:.0%} of pixels" for truth in few]
light = [np.where(truth.mask, 1, 0.25)[..., None] for truth in few]
masked = [(p * share).astype(np.uint8) for p, share in zip(pictures, light, strict=True)]
plots.photos([*pictures, *masked], told, columns=6, width=12)

# %% [markdown]
# ## How good, ok and junk come about
#
# Oxford's annotators looked at each photo: *good* is a clear picture of the landmark, *ok* shows more
# than a quarter of it, *junk* less. Here the same is measured: a photo shows the share of the landmark's
# silhouette that lies in the frame and is not hidden. And the landmark has to be large enough.

# %%
bars = json.loads((benchmark.root / "grades.json").read_text())
figure, axes = plots.subplots(6.2, 3.6)
for grade, color in plots.GRADE_COLORS.items():
    of_grade = [photo for photo in known if photo.grade == grade]
    shares = [photo.visible_fraction for photo in of_grade]
    areas = [max(photo.area_fraction, 0.003) for photo in of_grade]  # the axis starts there
    axes[0, 0].scatter(shares, areas, s=16, color=color, alpha=0.8, linewidths=0, label=grade)
for grade in ("good", "ok"):
    share, area = bars[grade]
    axes[0, 0].plot([share, share, 1.02], [1, area, area], color=plots.GRADE_COLORS[grade])
axes[0, 0].set(xlabel="share of the landmark that the photo shows", xlim=(0, 1.02))
axes[0, 0].set(ylabel="share of the photo's pixels", yscale="log", ylim=(0.003, 1))
figure.legend(loc="outside right upper", title="grade")
figure

# %%
counts = {name: Counter() for name in sorted(rendered.landmark_bounds())}
for truth in known:
    counts[truth.landmark][truth.grade] += 1
figure, axes = plots.subplots(7.5, 3.6)
names, left = [name.replace("_", " ") for name in counts], 0
for grade, color in plots.GRADE_COLORS.items():
    width = np.array([each[grade] for each in counts.values()])
    drawn = axes[0, 0].barh(names, width, left=left, color=color, label=grade)
    axes[0, 0].bar_label(drawn, [count or "" for count in width], label_type="center")
    left = left + width
axes[0, 0].set(xlabel="number of photos", ylim=(len(names) - 0.5, -0.5))
figure.legend(loc="outside upper center", ncols=3)
figure

# %% [markdown]
# One landmark's photos, sorted so. Junk counts neither for nor against a ranking.

# %%
order = ["good", "ok", "junk"]
one = [t for g in order for t in known if (t.landmark, t.grade) == ("striped_duomo", g)]
images = [read_image(benchmark.root / truth.photo) for truth in one]
plots.photos(images, [truth.grade for truth in one], columns=7, width=12)

# %% [markdown]
# ## Where the cameras stood (in place of the map of Fig. 3)
#
# The paper shows its landmarks on a map of the world. Ours stand nowhere, but each photo has a camera:
# here is every evaluation landmark from above, dark, its front to the south, and the cameras around it with their fields of view (distances
# are drawn as square roots; the rings tell how far).

# %%
above = plots.camera_maps(known, rendered.landmark_bounds())
above.save(FIGURES / "data_from_above.png")
above

# %% [markdown]
# ## The real benchmarks, through the same door
#
# `datasets.load(name, folder)` gives the same kind of object for Oxford5k, Paris6k, their revisited
# versions, Holidays and Google-Landmarks. `delfjax data list` tells what is on disk and where the rest is
# offered, `delfjax data fetch` gets what its publisher allows. Name the folder in `DELFJAX_DATA`, run
# again, and the cells below show what is there.

# %%
print(f"{'benchmark':22} {'photos':>9} {'queries':>8} {'to find each':>13}")
for name in datasets.NAMES:
    if name not in on_disk:
        print(f"{name:22} {'not on disk':>9}")
        continue
    each = datasets.load(name, DATA)
    find = np.mean([len(truth.positives) for truth in each.truths[each.default_protocol]])
    print(f"{name:22} {len(each.database):9,} {len(each.queries):8,} {find:13.1f}")

# %%
for name in set(on_disk) - set(datasets.RENDERED):
    each = datasets.load(name, DATA)
    queries = each.queries[:12]
    images = [read_image(each.root / query.photo) for query in queries]
    titles, boxes = [query.name for query in queries], [query.box for query in queries]
    display(plots.photos(images, titles, boxes=boxes, columns=6, width=12))  # noqa: F821

# %% [markdown]
# ## What was claimed, checked

# %%
evaluated, trained = {t.landmark for t in known}, set(training.labels)
assert not evaluated & trained, "no landmark is both trained and evaluated on"
assert len(trained) >= 40
assert min(Counter(training.labels).values()) >= 15
assert (len(benchmark.queries), len(benchmark.distractor_queries)) == (55, 40)
good = {name: [t for t in known if t.landmark == name and t.grade == "good"] for name in evaluated}
assert min(map(len, good.values())) >= 5, "every query is a good photo"
assert all(t.visible_fraction >= 0.25 for t in known if t.grade != "junk"), "ok shows more than a quarter"
assert not rendered.damaged(), "every file is as it was published"

# %% [markdown]
# **What differs from the paper.** Google-Landmarks has a million photos; this set has about a thousand, of
# invented places, small enough for a laptop. Its classes are measured, not judged. A landmark's
# photos share one place and its neighbors, as real ones do, but the neighbors are drawn from one stock:
# a real city gives more away.
#
# **Two things to try.** Show the photos of `statue_bridge` as those of `striped_duomo` above: why are so few
# of them good? And find the photos taken from behind, `truth.camera_center[1]` above the landmark's middle: would you
# know it from there?
