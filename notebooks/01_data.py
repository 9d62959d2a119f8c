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

from delfjax import datasets, provenance
from delfjax.datasets import rendered
from delfjax.datasets.catalog import data_folder
from delfjax.images.reading import read_image
from delfjax.plots import base, datasets

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
base.photos({"one photo of each landmark": sheet}, height=6)

# %%
training, benchmark = rendered.training_photos(), rendered.load()
print(f"training:   {len(training)} photos of {len(set(training.labels))} landmarks")
print(f"evaluation: {len(benchmark.base_photos)} photos of 11 other landmarks,")
print(f"            {benchmark.distractor_count} of places without a landmark")
print(f"queries:    {len(benchmark.queries)}, and {len(benchmark.distractor queries)} distractor queries")
print("damaged files:", rendered.damaged_files() or "none")

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
datasets.grid(
    [(training.load(n), c, None) for n, c in zip(chosen, captions, strict=True)], columns=7
)

# %% [markdown]
# ## Queries (as in Fig. 2)
#
# As in Oxford5k each landmark of the evaluation has five queries, and a query is a *part* of a photo:
# its box. The landmarks are not among those of the training.

# %%
shown = [(read_image(benchmark.root / q.photo), q.name, q.box) for q in benchmark.queries]
queries = datasets.grid([shown[5 * k + k % 5] for k in range(11)], columns=6, width=2)
queries.save(FIGURES / "data_queries.jpg")
queries

# %% [markdown]
# Photos of places without a landmark make the search harder (first row), and some are queries to which no
# photo is the answer (second row): a good system scores their results low. Both come from different places.

# %%
places = random.choice(benchmark.distractor_photos.names, 7, replace=False)
distractor_queries = random.choice([query.photo for query in benchmark.distractor_queries], 7, replace=False)
mixed = [(read_image(benchmark.root / name), "", None) for name in chain(places, distractor_queries)]
datasets.grid(mixed, columns=7)

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
cells = [(photo, caption, None) for photo, caption in zip(pictures, told, strict=True)]
cells += [(datasets.masked(p, t), "", None) for p, t in zip(pictures, few, strict=True)]
datasets.grid(cells, columns=6, width=2)

# %% [markdown]
# ## How good, ok and junk come about
#
# Oxford's annotators looked at each photo: *good* is a clear picture of the landmark, *ok* shows more
# than a quarter of it, *junk* less. Here the same is measured: a photo shows the share of the landmark's
# silhouette that lies in the frame and is not hidden. And the landmark has to be large enough.

# %%
bars = json.loads((benchmark.root / "grades.json").read_text())
datasets.grades(known, good=bars["good"], ok=bars["ok"])

# %%
counts = {name: Counter() for name in sorted(rendered.landmark_bounds())}
for truth in known:
    counts[truth.landmark][truth.grade] += 1
datasets.class_counts(counts)

# %% [markdown]
# One landmark's photos, sorted so. Junk counts neither for nor against a ranking.

# %%
order = ["good", "ok", "junk"]
one = [t for g in order for t in known if (t.landmark, t.grade) == ("striped_duomo", g)]
graded = [(read_image(benchmark.root / truth.photo), truth.grade, None) for truth in one]
datasets.grid(graded, columns=7)

# %% [markdown]
# ## Where the cameras stood (in place of the map of Fig. 3)
#
# The paper shows its landmarks on a map of the world. Ours stand nowhere, but each photo has a camera:
# here is every evaluation landmark from above, dark, its front to the south, and the cameras around it with their fields of view (distances
# are drawn as square roots; the rings tell how far).

# %%
above = datasets.from_above(known, rendered.landmark_bounds())
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
    asked = [(read_image(each.root / q.photo), q.name, q.box) for q in each.queries[:12]]
    display(datasets.grid(asked, columns=6, width=2))  # noqa: F821, IPython has it

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
assert not rendered.damaged_files(), "every file is as it was published"

# %% [markdown]
# **What differs from the paper.** Google-Landmarks has a million photos; this set has about a thousand, of
# invented places, small enough for a laptop. Its classes are measured, not judged. A landmark's
# photos share one place and its neighbors, as real ones do, but the neighbors are drawn from one stock:
# a real city gives more away.
#
# **Two things to try.** Show the photos of `statue_bridge` as those of `striped_duomo` above: why are so few
# of them good? And find the photos taken from behind, `truth.camera_center[1]` above the landmark's middle: would you
# know it from there?
