# %% [markdown]
# # Data: rendered landmarks and real benchmarks
#
# **What you will learn**
#
# - which photos the models are trained and tested with
# - what queries, distractors and distractor queries are
# - what good, ok and junk photos are, and how a grade is computed
# - how to load the published benchmarks
#
# **Prerequisites:** none beyond Python and NumPy. [Quickstart](00_quickstart.ipynb) shows what the photos are used for.
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 3 (Figs. 2 and 3: Google-Landmarks) and Section 5 (benchmarks).
#
# **Time:** 15 minutes to read. The cells take ten seconds. Nothing is downloaded.
#
# **Outside a clone,** for example in Colab, first run `%pip install "delfjax[notebooks] @ git+URL"` with the URL of the
# repository.

# %%
from collections import Counter

import numpy as np

import delfjax as dx
from delfjax.datasets import rendered
from notebooks import camera_maps, exercises

# %%
rng = np.random.default_rng(seed=0)  # chooses the photos to show

# %% [markdown]
# ## Sixty landmarks
#
# The photos of the paper are photos of real places, and their copyright belongs to the photographers. To have photos that
# everyone may use, this repository contains rendered ones: a script generates sixty landmarks of famous kinds, and
# Blender renders them. The photos are free of copyright (CC0). A second set, `rendered_large`, has 40 other landmarks in
# larger photos ([card](../data/landmarks_large/README.md)). This lesson shows the first set.

# %%
contact_sheet = dx.read_image(rendered.ROOT / "contact_sheet.jpg")
dx.plots.photos([contact_sheet], ["one photo of each landmark"])

# %% [markdown]
# *Each row has landmarks of two kinds, such as temples and churches, with five designs of each kind.*
#
# 49 landmarks are for training. The other 11 are for testing, so a model is always tested on landmarks it has never seen.
# A **benchmark** has three parts: a database of photos, queries, and the correct photos for each query.

# %%
training, benchmark = rendered.training_photos(), rendered.load()
print(f"training: {len(training)} photos of {len(set(training.labels))} landmarks")
print(f"database: {len(benchmark.base_photos)} photos of 11 other landmarks")
print(f"          {len(benchmark.distractor_photos)} photos of places without a landmark")
print(f"queries:  {len(benchmark.queries)}, each with its correct photos")
print(f"          {len(benchmark.distractor_queries)} distractor queries, without a correct photo")

# %% [markdown]
# ## Training photos
#
# The only label of a training photo is the name of its landmark. Nothing says where in the photo the landmark is.

# %%
labels = sorted(rng.choice(sorted(set(training.labels)), 5, replace=False))
rows = [[name for name in training.names if name.startswith(f"{label}/")][:7] for label in labels]
titles = [title for label in labels for title in (label.replace("_", " "), *[""] * 6)]
images = [training.load(name) for row in rows for name in row]
dx.plots.photos(images, titles, columns=7, width=12)

# %% [markdown]
# *Each row shows one landmark: near and far, by day and at night, in fog, and behind people and branches.*
#
# Houses, trees, people and street lamps are copies of the same few models, and appear around all landmarks.
# A cell that sees a house therefore does not help to name the landmark. Attention can learn this from names
# alone ([Training](03_training.ipynb)).

# %% [markdown]
# ## Queries (as in Fig. 2)
#
# The benchmark has the format of Oxford5k, a benchmark with photos of buildings in Oxford. Each of the 11 landmarks has
# five queries. A query is a part of a photo, given by a box.

# %%
shown = [benchmark.queries[5 * landmark + landmark % 5] for landmark in range(11)]
images = [dx.read_image(benchmark.root / query.photo) for query in shown]
names, boxes = [query.name for query in shown], [query.box for query in shown]
figure = dx.plots.photos(images, names, boxes=boxes, columns=6, width=12)
figure.save("figures/data_queries.jpg")
figure

# %% [markdown]
# *One query of each landmark. The yellow box is cut out of the photo, and only this part is the query.*
#
# Two further groups of photos make the task harder:
#
# - **Distractors** are database photos without a landmark. They should not appear among the first results.
# - **Distractor queries** have no correct photo in the database. Their results should get low scores.

# %%
distractors = rng.choice(benchmark.distractor_photos.names, 7, replace=False)
queries = rng.choice([query.photo for query in benchmark.distractor_queries], 7, replace=False)
images = [dx.read_image(benchmark.root / name) for name in (*distractors, *queries)]
titles = ["distractors", *[""] * 6, "distractor queries", *[""] * 6]
dx.plots.photos(images, titles, columns=7, width=12)

# %% [markdown]
# *First row: distractors. Second row: distractor queries, which were taken in other places.*

# %% [markdown]
# ## Pixels of the landmark
#
# Rendered photos have an advantage over real ones: for each test photo the pixels that show the landmark are known. This lets us
# measure whether attention finds the landmark ([Attention](04_attention.ipynb)).

# %%
annotations = rendered.annotations().values()
with_landmark = [each for each in annotations if each.landmark]
chosen = [with_landmark[number] for number in rng.choice(len(with_landmark), 6, replace=False)]
images = [dx.read_image(benchmark.root / each.photo) for each in chosen]
dimmed = [
    np.uint8(image * np.where(each.mask, 1, 0.25)[..., None])
    for image, each in zip(images, chosen, strict=True)
]
titles = [
    f"{each.visible_fraction:.0%} visible, {each.area_fraction:.0%} of pixels" for each in chosen
]
dx.plots.photos([*images, *dimmed], titles, columns=6, width=12)

# %% [markdown]
# *Below each photo, everything but the landmark is dimmed. The title says how much of the landmark is visible, and how many
# of the photo's pixels show it.*

# %% [markdown]
# ## Good, ok and junk
#
# In Oxford5k, people graded each photo. A **good** photo shows the landmark clearly. An **ok** photo shows more than a quarter
# of it. A **junk** photo shows less. Good and ok photos are correct results. Junk photos are ignored: they are neither correct
# nor wrong.
#
# Here the grade is computed, from two numbers:
#
# - The visible fraction $v = i \cdot u$ of the landmark. $i$ is the fraction of its silhouette that lies inside the photo, and
#   $u$ is the fraction of that part that is not hidden.
# - The fraction $a$ of the photo's pixels that show the landmark.
#
# A photo is good if $v \ge 0.7$ and $a \ge 0.05$. It is ok if it is not good, $v \ge 0.25$ and $a \ge 0.01$. All others are junk.

# %%
thresholds = dx.provenance.read_result(benchmark.root / "grades.json")
figure, axes = dx.plots.subplots(6.2, 3.6)
for grade, color in camera_maps.GRADE_COLORS.items():
    graded = [each for each in with_landmark if each.grade == grade]
    visible = [each.visible_fraction for each in graded]
    areas = [max(each.area_fraction, 0.003) for each in graded]  # 0.003: start of the axis
    axes[0, 0].scatter(visible, areas, s=16, color=color, alpha=0.8, linewidths=0, label=grade)
for grade in ("good", "ok"):
    visible, area = thresholds[grade]
    axes[0, 0].plot(
        [visible, visible, 1.02], [1, area, area], color=camera_maps.GRADE_COLORS[grade]
    )
axes[0, 0].set(xlabel="visible fraction of the landmark", xlim=(0, 1.02))
axes[0, 0].set(ylabel="fraction of the photo's pixels", yscale="log", ylim=(0.003, 1))
figure.legend(loc="outside right upper", title="grade")
figure

# %% [markdown]
# *Each dot is a photo. Lines are the thresholds: a photo above and to the right of both green lines is good, and one above and
# to the right of both yellow lines is at least ok.*

# %%
landmarks = sorted(rendered.landmark_bounds())
names, left = [name.replace("_", " ") for name in landmarks], np.zeros(len(landmarks))
counts = Counter((each.landmark, each.grade) for each in with_landmark)
figure, axes = dx.plots.subplots(7.5, 3.6)
for grade, color in camera_maps.GRADE_COLORS.items():
    width = np.array([counts[name, grade] for name in landmarks])
    bars = axes[0, 0].barh(names, width, left=left, color=color, label=grade)
    text = "black" if grade == "ok" else "white"
    axes[0, 0].bar_label(bars, [n or "" for n in width], label_type="center", color=text)
    left = left + width
axes[0, 0].set(xlabel="number of photos", ylim=(len(names) - 0.5, -0.5))
figure.legend(loc="outside upper center", ncols=3)
figure

# %% [markdown]
# *Most photos of most landmarks are good. The statue bridge is the exception: it is long, and few photos show most of it.*
#
# Here are all photos of one landmark:

# %%
duomo = [each for each in with_landmark if each.landmark == "striped_duomo"]
duomo = [each for grade in ("good", "ok", "junk") for each in duomo if each.grade == grade]
images = [dx.read_image(benchmark.root / each.photo) for each in duomo]
dx.plots.photos(images, [each.grade for each in duomo], columns=7, width=12)

# %% [markdown]
# *In the good photos the cathedral is large and complete. In the ok photos it is far away or partly hidden. The junk photo shows
# only its dome.*

# %% [markdown]
# ## Where the photos were taken (in place of Fig. 3)
#
# The paper shows its landmarks on a map of the world. Rendered landmarks have no place in the world, but the position of
# each camera is known.

# %%
figure = camera_maps.camera_maps(with_landmark, rendered.landmark_bounds())
figure.save("figures/data_from_above.png")
figure

# %% [markdown]
# *Each map shows a landmark from above (dark, its front at the bottom), the cameras (dots) and their fields of view
# (triangles). Distances are drawn as their square roots, so that near and far cameras fit on one map. Most photos are taken from the front.*

# %% [markdown]
# ## Real benchmarks
#
# `dx.datasets.load(name)` loads any benchmark, and every benchmark is used in the same way. The real ones must be downloaded
# first. `delfjax data list` says where they are offered and on which terms, and `delfjax data fetch` downloads those that may
# be downloaded by a program. They are stored in the folder `$DELFJAX_DATA`. If you have some, run this notebook again: the
# next cells show them.

# %%
on_disk = dx.datasets.available()
print(f"{'benchmark':22} {'photos':>9} {'queries':>8} {'correct photos per query':>25}")
for name in dx.datasets.NAMES:
    if name not in on_disk:
        print(f"{name:22} {'missing':>9}")
        continue
    each = dx.datasets.load(name)
    correct = np.mean([len(truth.positives) for truth in each.truths[each.default_protocol]])
    print(f"{name:22} {len(each.database):9,} {len(each.queries):8,} {correct:25.1f}")

# %%
real = [dx.datasets.load(name) for name in on_disk if name not in dx.datasets.RENDERED]
shown = [(each.root / query.photo, query) for each in real for query in each.queries[:6]]
images, titles = [dx.read_image(path) for path, _ in shown], [query.name for _, query in shown]
boxes = [query.box for _, query in shown]
dx.plots.photos(
    images, titles, boxes=boxes, columns=6, width=12
) if real else "no real benchmark here"

# %% [markdown]
# ## Checks
#
# This cell fails if a statement of this notebook is no longer true.

# %%
tested, trained = {each.landmark for each in with_landmark}, set(training.labels)
assert not tested & trained, "no landmark is both for training and for testing"
assert (len(trained), len(tested)) == (49, 11)
assert (len(benchmark.queries), len(benchmark.distractor_queries)) == (55, 40)
assert all(counts[name, "good"] >= 5 for name in landmarks), "there are five good photos to query"
correct = [each for each in with_landmark if each.grade != "junk"]
assert all(each.visible_fraction >= 0.25 for each in correct), "ok shows more than a quarter"
assert not rendered.damaged(), "every file has its published checksum"

# %% [markdown]
# ## Summary
#
# - 49 rendered landmarks are for training, 11 others for testing. Training photos have no label but a name.
# - A benchmark has a database, queries, and the correct photos of each query. Distractors make it harder.
# - Good and ok photos are correct. Junk photos are ignored. The grade follows from two numbers.
# - Real benchmarks load in the same way, once they are on disk.
#
# ## Differences from the paper
#
# - Google-Landmarks has about a million photos. This set has about a thousand, so that it fits on a laptop.
# - Grades are computed, not given by people.
# - **Limitation:** houses and trees repeat in all photos. In a real city the neighborhood of a landmark is unique and
#   helps to recognize it.

# %% [markdown]
# ## Exercises
#
# Replace `...` and run the cell. The check tells you if the function is right. The solution is in the folded cell below.
#
# **1. Grade.** Return "good", "ok" or "junk" for a visible fraction $v$ and an area $a$. `thresholds["good"]` and
# `thresholds["ok"]` hold the smallest $v$ and $a$ of that grade.


# %%
def grade_photo(v, a, thresholds): ...


exercises.check_grade(grade_photo)


# %% tags=["solution"] jupyter={"source_hidden": true}
def grade_photo(v, a, thresholds):
    for name in ("good", "ok"):
        if v >= thresholds[name][0] and a >= thresholds[name][1]:
            return name
    return "junk"


exercises.check_grade(grade_photo)

# %% [markdown]
# **2. Precision without junk.** `grades` holds the grade of each result, best result first: "good", "ok", "junk" or "wrong".
# Ignore the junk photos. Return the share of correct photos among the first `k` of the others.


# %%
def precision(grades, k): ...


exercises.check_precision(precision)


# %% tags=["solution"] jupyter={"source_hidden": true}
def precision(grades, k):
    kept = [grade for grade in grades if grade != "junk"][:k]
    return np.mean([grade in ("good", "ok") for grade in kept])


exercises.check_precision(precision)

# %% [markdown]
# **To try:** show all photos of `statue_bridge` instead of `striped_duomo`. Why are so few of them good?
#
# **Next:** [DELF from scratch](02_from_scratch.ipynb) trains the attention in 60 lines of JAX.
