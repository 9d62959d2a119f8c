# %% [markdown]
# # Quickstart: do two photos show the same place?
#
# **You learn** how DELF turns a photo into a thousand local features, and how two photos are matched by them.
#
# **Paper:** Noh, Araujo, Sim, Weyand and Han, *Large-Scale Image Retrieval with Attentive Deep Local
# Features*, ICCV 2017, Section 4.
#
# **Time:** about two minutes on two CPU cores. The first run also downloads about 100 MB of ImageNet weights.

# %%
import delfjax as dx
from delfjax import widgets
from delfjax.features import pyramid
from delfjax.images import samples
from notebooks.synthetic_view import synthetic_view

# %% [markdown]
# ## Match two photos
#
# These two photos show the same cathedral, by day and by night, from two sides. They come with the
# repository. The model finds local features in each photo, and `dx.match` compares them.

# %%
folder = dx.datasets.rendered.ROOT / "eval" / "images"
day = dx.read_image(folder / "striped_duomo_010.jpg")
night = dx.read_image(folder / "striped_duomo_006.jpg")

model = dx.load("delf_att")
pair = dx.match(model(day), model(night))
dx.plots.matches(day, night, pair)

# %% [markdown]
# *Yellow lines are inliers: matches that agree on one geometric map from the left photo to the right one.
# White lines are matches that do not agree with it.*
#
# The number of inliers is the similarity of two photos. Compare it with a photo of another place:

# %%
palace = dx.read_image(folder / "canal_palace_007.jpg")
other_pair = dx.match(model(day), model(palace))
dx.plots.matches(day, palace, other_pair)

# %% [markdown]
# *Two different places have few matches, and few of these are inliers.*
#
# A few inliers always occur by chance. To search a photo collection, DELF matches the query with the photos of
# the collection and ranks them by their number of inliers; delfjax adds the number of matches ([04_retrieval](04_retrieval.ipynb)).
#
# The rest of this notebook shows the steps one by one.

# %% [markdown]
# ## A pair with a known answer
#
# To check each step, take a real photo and make a second view of it. The view is rotated by 8 degrees,
# compressed to 85% of its width, darkened, and noisy. The exact map between the two is known.
#
# The photos come with scikit-learn (CC BY 2.0: the pavilion by danielbuechele, the flower by vultilion).

# %%
photo, flower = samples.temple(), samples.flower()
view = synthetic_view(photo, rotation=8, seed=0)
titles = ["photo", "synthetic view of it", "unrelated photo"]
dx.plots.photos([photo, view.photo, flower], titles)

# %% [markdown]
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
# $n$ it returns a descriptor $f_n$, a vector of 1024 numbers.

# %%
field = model.receptive_field
print(f"cells are {field.stride} pixels apart, and each sees {field.size} x {field.size} pixels")

# %% [markdown]
# Most cells show sky, water or trees, and do not help to recognize a place. Which cells should be kept? There are two
# scores:
#
# - The **L2 norm** $\lVert f_n \rVert$ of the descriptor. It needs no training and is the baseline in the paper.
# - The **attention** $\alpha(f_n; \theta) = \operatorname{softplus}\bigl(w_2 \cdot \operatorname{relu}(W_1 f_n + b_1) +
#   b_2\bigr)$, a small network whose weights $\theta = (W_1, b_1, w_2, b_2)$ are learned.
#   $W_1$ is a $512 \times 1024$ matrix, $\operatorname{relu}(x) = \max(x, 0)$, and
#   $\operatorname{softplus}(x) = \log(1 + e^x)$, so a score is never negative.

# %%
scores = model.score_maps(photo)
norm, attention = (
    pyramid.merge_levels(maps, scores.sizes, scores.image_size)
    for maps in (scores.norms, scores.attention)
)
figure = dx.plots.heatmaps(photo, {"L2 norm": norm, "attention": attention})
figure.save("figures/quickstart_attention.jpg")
figure

# %% [markdown]
# *The L2 norm is highest along the border of the sky. Attention is highest on the pavilion, and low on most of the sky and
# the trees.*
#
# The norm responds to the border because convolutions pad the photo with zeros, which look like an edge. The attention
# was trained with the names of rendered buildings only ([02_training](02_training.ipynb)), yet it finds the building
# in a real photo.

# %% [markdown]
# ## Step 3: keep the best thousand cells as features
#
# A feature is a descriptor with a position: the center of its cell.

# %%
features = model(photo)
print(f"{len(features)} features, descriptors of {features.descriptors.shape[1]} numbers")
dx.plots.keypoints(photo, features, title="the 300 features with the highest attention")

# %% [markdown]
# *Most features lie on the pavilion. Large rings belong to small scales, where a cell sees a large part of the photo.*

# %% [markdown]
# ## Step 4: match descriptors
#
# `dx.match` first divides each descriptor by its L2 norm, reduces it to 40 numbers by principal component analysis
# (PCA), and divides it by its norm again. Two features are a **putative match** if each is the nearest neighbor of the
# other. Here are the putative matches of the cathedral:

# %%
title = f"{len(pair.matches)} putative matches"
dx.plots.matches(day, night, pair.matches, title=title)

# %% [markdown]
# *Before verification: most lines connect the same part of the cathedral. The lines that cross them are wrong.*

# %% [markdown]
# ## Step 5: verify the matches with RANSAC
#
# RANSAC takes three random matches and computes the affine map through them. It repeats this thousands of times, and keeps the
# map that most matches agree with. A match agrees if the map takes one position to within 20 pixels of the other, or more for
# features of large regions. These matches are the inliers, yellow in the first figure of this notebook.
#
# **Limitation:** an affine map fits one flat surface, here the front of the cathedral. Correct matches on the dome, which
# stands further back, are lost.
#
# The pavilion has more inliers, because the second view is an exact affine map of the first:

# %%
verified = dx.match(features, model(view.photo))
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
unrelated = dx.match(features, model(flower))
print(f"with the view:   {verified.num_inliers:3} inliers of {len(verified.matches)} matches")
print(f"with the flower: {unrelated.num_inliers:3} inliers of {len(unrelated.matches)} matches")

# %% [markdown]
# ## Choose a model
#
# `dx.model_names()` lists all models. Here are three of them, on the cathedral and the palace from above. `delf_att` has the
# descriptors of ImageNet and selects features by attention. `delf_ft_att` has fine-tuned descriptors. `resnet50_v1`
# has the descriptors of ImageNet, and no attention: it selects features by their norm.

# %%
print("model        selection  inliers, same place  inliers, different places")
for name in ("delf_att", "delf_ft_att", "resnet50_v1"):
    each = dx.load(name)
    a, b, c = (each(image) for image in (day, night, palace))
    same, different = dx.match(a, b).num_inliers, dx.match(a, c).num_inliers
    print(f"{name:12} {each.config.selection:9} {same:20} {different:26}")

# %% [markdown]
# With attention, the same place stands out more clearly. **Limitation:** three photos are no measurement.
# [06_tables](06_tables.ipynb) has the measurement over 55 queries. There `delf_ft_att` is best, but all its
# landmarks are rendered. For photos of your own, begin with `delf_att`.

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
#   ([03_attention](03_attention.ipynb)).
# - `dx.search_photos(folder)` searches a folder of photos with a box that you draw on a photo
#   ([04_retrieval](04_retrieval.ipynb)).

# %% [markdown]
# ## Checks
#
# This cell fails if a statement of this notebook is no longer true. It also saves the numbers.

# %%
assert pair.num_inliers > 3 * other_pair.num_inliers, "the same place has far more inliers"
assert verified.num_inliers > 3 * unrelated.num_inliers, "the view has far more inliers"
assert error < 10, "RANSAC finds the true map to within 10 pixels"
what = f"RANSAC inliers of two views of one photo; {unrelated.num_inliers} with an unrelated photo"
record = {"value": verified.num_inliers, "what": what, "stranger_inliers": unrelated.num_inliers}
record |= {"affine_error_pixels": round(error, 2), "seed": 0}
path = dx.provenance.RESULTS / "quickstart.json"
dx.provenance.update_result(path, record | dx.provenance.describe(model.config))

# %% [markdown]
# ## Differences from the paper
#
# - The attention is trained on rendered landmarks, and the descriptors are those of ImageNet.
# - The PCA is fitted to the two photos. The paper fits it to a database.
# - A putative match is mutual. In the official code, one direction is enough.
#
# ## Exercises
#
# 1. Set `rotation=40` in `synthetic_view`. How far can you rotate the view before the inliers are gone?
# 2. Load the model with `dx.load("delf_att", dx.ExtractionConfig(max_features=100))`. How few features are enough?
# 3. Match the photo by day with its mirror image: `dx.match(model(day), model(day[:, ::-1]))`. Why are there so many inliers?
#
# **Next:** [01_data](01_data.ipynb) shows the photos that the models are trained and tested with.
