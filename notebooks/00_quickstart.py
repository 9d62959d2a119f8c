# %% [markdown]
# # Quickstart: do two photos show the same place?
#
# **What you will learn**
#
# - how to match two photos with delfjax, in four lines
# - the steps from a photo to its local features: scales, descriptors, attention, PCA
# - how matches become votes, and how RANSAC verifies them
# - which model to use for your own photos
#
# **Prerequisites:** Python and NumPy. You need to know what a convolutional network is.
#
# **Paper:** Noh, Araujo, Sim, Weyand and Han, *Large-Scale Image Retrieval with Attentive Deep Local
# Features*, ICCV 2017, Section 4, Figs. 1 and 4.
#
# **Time:** 40 minutes to read and to solve the exercises. The cells take about two minutes on two CPU cores. The first run also
# downloads about 100 MB of ImageNet weights.
#
# **Outside a clone,** for example in Colab, first run `%pip install "delfjax[notebooks] @ git+URL"` with the URL of the
# repository.

# %%
import numpy as np

import delfjax as dx
from delfjax import widgets
from delfjax.features import pca, pyramid
from notebooks import attention_measures, exercises, lesson, paper_diagrams, synthetic_view

# %% [markdown]
# ## Match two photos
#
# The first two photos show the door of a cathedral in Berlin. The third shows a street in Lund. (They come from OpenSfM, under
# the 2-clause BSD license.) The model finds local features in each photo, and `dx.match` compares them.

# %%
far, near, street = (lesson.real_photo(name) for name in ("berlin_01", "berlin_03", "lund_05"))

model = dx.load("delf_att")
features = [model(photo) for photo in (far, near, street)]
pair = dx.match(features[0], features[1])
dx.plots.matches(far, near, pair)

# %% [markdown]
# *Yellow lines are inliers: matches that agree on one geometric map from the left photo to the right one.
# White lines are matches that do not agree with it.*
#
# More inliers mean more similar photos, but no number of inliers means "same place" for all photos. `pair.verdict` answers
# this question with a probability ([verification](../docs/verification.md)). Compare the inliers with those of another place:

# %%
other_pair = dx.match(features[0], features[2])
dx.plots.matches(far, street, other_pair)

# %% [markdown]
# *Two different places have few matches, and few of these are inliers.*
#
# Three matches always agree with the map through them, so unrelated photos can have a few inliers. To search a photo collection, DELF matches the query with the photos of the
# collection and ranks them by their number of inliers; delfjax also counts the other matches
# ([Retrieval](05_retrieval.ipynb)).
#
# ## The system (Fig. 1)
#
# This notebook shows the steps of the diagram one by one.

# %%
figure = paper_diagrams.system_diagram(far.shape[:2])
figure

# %% [markdown]
# *Top: a photo becomes 1,000 features. Bottom: the features of a query find their nearest neighbors in an index, the neighbors
# vote for photos, and RANSAC verifies the best photos.*
#
# ## A pair with a known answer
#
# To check each step, take a real photo and make a second view of it. The view is enlarged by 10%, rotated by 8 degrees,
# compressed to 85% of its width, darkened, and noisy. The exact map between the two is known.
#
# The photos come with scikit-learn (CC BY 2.0: the pavilion by danielbuechele, the flower by vultilion).

# %%
photo, flower = lesson.real_photo("pavilion"), lesson.real_photo("flower")
view = synthetic_view.synthetic_view(photo, rotation=8, seed=0)
titles = ["photo", "synthetic view of it", "unrelated photo"]
dx.plots.photos([photo, view.photo, flower], titles)

# %% [markdown]
# *The view shows most of the pavilion. The flower is another subject.*
#
# ## Step 1: resize the photo to seven scales
#
# A building can be large in one photo and small in another. DELF therefore processes each photo at seven
# scales, from 0.25 to 2. Neighboring scales differ by a factor of $\sqrt 2$.

# %%
mosaic = pyramid.build_mosaic(photo, model.config.pyramid)
dx.plots.photos([mosaic.pixels], ["the seven scales on one image"], width=5)

# %% [markdown]
# *All scales are packed into one image, so that the network runs once per photo. The black area is masked and
# does not change the features.*

# %% [markdown]
# ## Step 2: compute descriptors, and score them by attention
#
# The network is a ResNet-50 up to the stage conv4. It divides each scale into cells of 16 x 16 pixels. For each cell
# $n$ it returns a descriptor $f_n \in \mathbb R^{1024}$, a vector of 1024 numbers.

# %%
field = model.receptive_field
print(f"cells are {field.stride} pixels apart, and each sees {field.size} x {field.size} pixels")

# %% [markdown]
# Most cells show sky, water or trees, and do not help to recognize a place. Which cells should be kept? There are two
# scores:
#
# - The **L2 norm** $\lVert f_n \rVert$ of the descriptor. It needs no training and is the baseline in the paper.
# - The **attention** $\alpha(f_n; \theta) = \operatorname{softplus}\bigl(w_2^\top \operatorname{relu}(W_1^\top f_n + b_1) +
#   b_2\bigr)$, a small network whose weights $\theta = (W_1, b_1, w_2, b_2)$ are learned.
#   $W_1$ is a $1024 \times 512$ matrix, $\operatorname{relu}(x) = \max(x, 0)$, and
#   $\operatorname{softplus}(x) = \log(1 + e^x)$, so a score is never negative.
#
# In the library, this formula is one line:

# %%
lesson.source("delfjax.models.attention.Attention.__call__")

# %%
scores = model.score_maps(photo)
print("cells of each scale:", *(f"{h} x {w}" for h, w in (map_.shape for map_ in scores.attention)))
norm = attention_measures.lean_heatmap(scores, "norm")
attention = attention_measures.lean_heatmap(scores)
figure = dx.plots.heatmaps(photo, {"L2 norm": norm, "attention": attention})
figure.save("figures/quickstart_attention.jpg")
figure

# %% [markdown]
# *The L2 norm is highest where the sky meets the edge of the photo. Attention is highest on the pavilion, and low on most of the sky and
# the trees.*
#
# The norm probably responds to this edge because convolutions pad the photo with zeros, which look like an edge.
#
# Cells respond most to a point 4 to 10 pixels of their scale below and to the right of their center
# ([Attention](04_attention.ipynb) measures it). The maps above and the keypoints below are drawn
# half a stride (8 pixels) below and to the right.
#
# ### How the attention is trained (Fig. 4)
#
# Training has two steps. Step 1 trains the descriptors to tell landmarks from each other. Step 2 keeps the descriptors and
# trains the attention. Both need only the name of the landmark in each photo.

# %%
figure = paper_diagrams.training_diagram(classes=49)
figure

# %% [markdown]
# *Colored parts are trained, gray parts are frozen. In step 2 the scores weight the descriptors before they are averaged.*
#
# [DELF from scratch](02_from_scratch.ipynb) writes step 2 in 60 lines. [Training](03_training.ipynb) runs both steps.

# %% [markdown]
# ## Step 3: keep the best thousand cells as features
#
# A feature is a descriptor with a position: the center of its cell.

# %%
found = model(photo)
print(f"positions {found.positions.shape}, descriptors {found.descriptors.shape}")
drawn = attention_measures.lean(found)
dx.plots.keypoints(photo, drawn, title="the 300 features with the highest attention")

# %% [markdown]
# *Most features lie on the pavilion. Large rings belong to small scales, where a cell sees a large part of the photo.*

# %% [markdown]
# ## Step 4: reduce descriptors by PCA
#
# 1,000 descriptors of 1024 numbers are 4 MB, more than the photo. A principal component analysis (PCA) finds the
# directions in which descriptors differ most. $P$ is a $40 \times 1024$ matrix with the 40 best directions, and $\mu$ is the
# mean of the descriptors. DELF normalizes before and after:
#
# $$\hat f = \frac{f}{\lVert f\rVert}, \qquad z = P(\hat f - \mu), \qquad \hat z = \frac{z}{\lVert z\rVert} \in \mathbb R^{40}$$
#
# The first normalization removes the contrast of the region, which scales $f$. The second puts all descriptors on a sphere again,
# where the distance depends on the angle only: $\lVert \hat z - \hat z'\rVert^2 = 2 - 2\,\hat z^\top\hat z'$.

# %%
lesson.source("delfjax.features.pca.PCA.__call__")

# %%
seen = model(view.photo)
both = np.concatenate([found.descriptors, seen.descriptors])
full = pca.PCA.fit(both, dimensions=1024)
share = np.cumsum(full.variances) / full.variances.sum()
reduced = pca.truncate_descriptors(full(both), 40)
print(f"{both.shape} -> {reduced.shape}, all norms {np.linalg.norm(reduced, axis=1).mean():.1f}")

# %%
figure, axes = dx.plots.subplots(5, 2.6)
axes[0, 0].plot(range(1, 1025), share, color=dx.plots.COLORS[0])
axes[0, 0].plot(40, share[39], "o", color=dx.plots.COLORS[1])
axes[0, 0].annotate(f"40 numbers keep {share[39]:.0%}", (40, share[39]), (60, share[39] - 0.12))
axes[0, 0].set(xlabel="number of dimensions", xscale="log", ylim=(0, 1.03))
axes[0, 0].set_ylabel("share of the variance")
figure

# %% [markdown]
# *The first 40 of 1024 dimensions keep more than half of the variance of these descriptors.*
#
# ## Step 5: match descriptors
#
# Two features are a **putative match** if each is the nearest neighbor of the other. Here are the putative matches of
# the cathedral:

# %%
title = f"{len(pair.matches)} putative matches"
dx.plots.matches(far, near, pair.matches, title=title)

# %% [markdown]
# *Before verification, all matches are yellow: many lines connect the same part of the cathedral. The lines that cross them are
# wrong.*
#
# ### Votes
#
# A collection has many photos. Each query feature looks for its nearest neighbor among the features of *all* photos, and
# votes for the photo that the neighbor belongs to. Here the query is the near photo of the cathedral:

# %%
names = ["cathedral", "street", "pavilion", "flower"]
database = [features[0], features[2], found, model(flower)]
owners = np.repeat(np.arange(4), [len(each) for each in database])
descriptors = np.concatenate([each.descriptors for each in [*database, features[1]]])
reduced = pca.PCA.fit(descriptors)(descriptors)
nearest = (reduced[len(owners) :] @ reduced[: len(owners)].T).argmax(axis=1)
votes = np.bincount(owners[nearest], minlength=4)

# %%
figure, axes = dx.plots.subplots(5, 1.9)
bars = axes[0, 0].barh(names, votes, color=dx.plots.COLORS[0])
axes[0, 0].bar_label(bars, padding=3)
axes[0, 0].set(xlabel=f"votes of {len(nearest):,} query features", ylim=(3.5, -0.5))
figure

# %% [markdown]
# *Nearly all features vote for the other photo of the cathedral. A few vote for other photos.*
#
# ## Step 6: verify the matches with RANSAC
#
# RANSAC takes three random matches and computes the affine map through them. It repeats this thousands of times, and keeps the
# map that most matches agree with. A match agrees if the map takes one position to within 20 pixels of the other, or more for
# features of large regions. These matches are the inliers, yellow in the first figure of this notebook.
#
# If a share $w$ of the matches is correct, three of them are correct with probability $w^3$, and $T$ trials all fail with
# probability $(1 - w^3)^T$. [Retrieval](05_retrieval.ipynb) shows RANSAC on a picture.
#
# **Limitation:** an affine map fits one flat surface. Correct matches on parts that stand further back can be lost.
#
# The pavilion has more inliers, because the second view is an exact affine map of the first:

# %%
verified = dx.match(found, seen)
figure = dx.plots.matches(photo, view.photo, verified)
figure.save("figures/quickstart.jpg")
figure

# %% [markdown]
# *Almost all matches are inliers. At most 200 of them are drawn.*
#
# An affine map is a matrix $A$ of 2 x 3 numbers. It sends the point $(y, x, 1)$ of the photo to the point
# $(y', x')$ of the view. Is it the map that the view was made with?

# %%
print("true map:\n", view.affine.round(2), "\nmap found by RANSAC:\n", verified.affine.round(2))
difference = verified.affine - view.affine
points = verified.matches.query[verified.inliers]
offsets = points @ difference[:, :2].T + difference[:, 2]
error = float((offsets**2).sum(axis=1).mean() ** 0.5)
print(f"distance between the two maps at the inliers: {error:.1f} pixels (root mean square)")

# %%
unrelated = dx.match(found, database[3])
print(f"with the view:   {verified.num_inliers:3} inliers of {len(verified.matches)} matches")
print(f"with the flower: {unrelated.num_inliers:3} inliers of {len(unrelated.matches)} matches")

# %% [markdown]
# ## Choose a model
#
# `dx.model_names()` lists all models. Here are three of them, on two rendered photos of a cathedral, by day and by night, and
# one of a palace. `delf_att` has the descriptors of ImageNet and selects features by attention. `delf_ft_att` has fine-tuned
# descriptors. `resnet50_v1` has the descriptors of ImageNet, and no attention: it selects features by their norm.

# %%
folder = dx.datasets.rendered.ROOT / "eval" / "images"
rendered = ("striped_duomo_010.jpg", "striped_duomo_006.jpg", "canal_palace_007.jpg")
rendered = [dx.read_image(folder / name) for name in rendered]
dx.plots.photos(rendered, ["cathedral by day", "cathedral by night", "palace"], width=8)

# %%
print("model        selection  inliers, same place  inliers, different places")
for name in ("delf_att", "delf_ft_att", "resnet50_v1"):
    each = dx.load(name)
    a, b, c = (each(image) for image in rendered)
    same, different = dx.match(a, b).num_inliers, dx.match(a, c).num_inliers
    print(f"{name:12} {each.config.selection:9} {same:20} {different:26}")

# %% [markdown]
# With attention, the same place stands out more clearly. **Limitation:** three photos are no measurement.
# [Tables and figures](07_tables.ipynb) has the measurement over 55 queries. There `delf_ft_att` has the highest mAP of
# the three, but its lead over `delf_att` is not decided, and all landmarks are rendered. For photos of your own, begin with the default of `dx.load`, `delf_att_projected`:
# the features of `delf_att` with projected descriptors.

# %% [markdown]
# ## Try your own photos
#
# Upload two photos below. (The buttons work in JupyterLab, which `make lab` opens. On a static page they do nothing.)

# %%
widgets.match_uploads(model)

# %% [markdown]
# In code:
#
# ```python
# one, two = dx.read_image("one.jpg"), dx.read_image("two.jpg")
# pair = dx.match(model(one), model(two))
# dx.plots.matches(one, two, pair)
# ```
#
# Two explorers let you look closer:
#
# - `dx.explore(photo, model)` shows the attention at each scale, and what the cell under the pointer sees
#   ([Attention](04_attention.ipynb)).
# - `dx.search_photos(folder)` searches a folder of photos with a box that you draw on a photo
#   ([Retrieval](05_retrieval.ipynb)).

# %% [markdown]
# ## Summary
#
# - A feature is a descriptor of a region, with a position and a scale. A photo has up to 1,000 of them.
# - Attention chooses which cells become features. It was trained with names of landmarks only.
# - Normalize, reduce to 40 numbers, normalize: then a small distance means a similar region.
# - Neighbors vote for photos, and RANSAC counts the matches that fit one affine map: the inliers.
#
# ## Differences from the paper
#
# - The attention is trained on rendered landmarks, and the descriptors are those of ImageNet.
# - The PCA is fitted to the photos of this notebook. The paper fits it to a database.
# - A putative match is mutual. In the official code, one direction is enough.
# - Here a query feature votes with one neighbor. The full system uses 60 neighbors, which an index finds.

# %% [markdown]
# ## Exercises
#
# Replace `...` and run the cell. The check tells you if the function is right. The solution is in the folded cell below.
#
# **1. Normalize.** Divide each row of `descriptors`, an array of shape `[n, d]`, by its L2 norm.


# %%
def normalize(descriptors): ...


exercises.check_normalize(normalize)


# %% tags=["solution"] jupyter={"source_hidden": true}
def normalize(descriptors):
    return descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)


exercises.check_normalize(normalize)

# %% [markdown]
# **2. Count inliers.** `affine` has shape `[2, 3]`. `query` and `database` hold one position $(y, x)$ per match. Count the
# matches whose mapped query position is at most `tolerance` pixels from the database position.


# %%
def count_inliers(affine, query, database, tolerance): ...


exercises.check_count_inliers(count_inliers)


# %% tags=["solution"] jupyter={"source_hidden": true}
def count_inliers(affine, query, database, tolerance):
    mapped = query @ affine[:, :2].T + affine[:, 2]
    return (np.linalg.norm(mapped - database, axis=1) <= tolerance).sum()


exercises.check_count_inliers(count_inliers)

# %% [markdown]
# **3. How many trials?** A share `w` of the matches is correct. How many trials $T$ does RANSAC need to draw three correct
# matches at least once with probability `confidence`? Solve $(1 - w^3)^T = 1 - \text{confidence}$.
# Do not round the result.


# %%
def trials(w, confidence): ...


exercises.check_trials(trials)


# %% tags=["solution"] jupyter={"source_hidden": true}
def trials(w, confidence):
    return np.log(1 - confidence) / np.log(1 - w**3)


exercises.check_trials(trials)

# %% [markdown]
# **To try:** set `rotation=40` in `synthetic_view`. How far can you rotate the view before the inliers are gone?

# %% [markdown]
# ## Checks
#
# This cell fails if a statement of this notebook is no longer true. It also saves the numbers.

# %%
assert pair.num_inliers > 3 * other_pair.num_inliers, "the same place has far more inliers"
assert verified.num_inliers > 3 * unrelated.num_inliers, "the view has far more inliers"
assert error < 10, "RANSAC finds the true map to within 10 pixels"
assert votes.argmax() == 0, "the cathedral gets the most votes"
what = f"RANSAC inliers of two views of one photo; {unrelated.num_inliers} with an unrelated photo"
record = {"value": verified.num_inliers, "what": what, "stranger_inliers": unrelated.num_inliers}
record |= {"affine_error_pixels": round(error, 2), "seed": 0}
path = dx.provenance.RESULTS / "quickstart.json"
dx.provenance.update_result(path, record | dx.provenance.describe(model.config))

# %% [markdown]
# **Next:** [Data](01_data.ipynb) shows the photos that the models are trained and tested with.
