# %% [markdown]
# # DELF in one minute
#
# **Paper:** Noh, Araujo, Sim, Weyand and Han, *Large-Scale Image Retrieval with Attentive Deep Local
# Features*, ICCV 2017, Section 4. **You will see** how a photo becomes a thousand local
# features, and how two photos of one place are told from two photos of two. **Cost:** about a minute
# on two CPU cores; the first run also downloads about 100 MB of ImageNet weights.
#
# The photos come with scikit-learn (CC BY 2.0: the pavilion by danielbuechele, the flower by
# vultilion); the second view is made here from the first, so that we know the truth about it.

# %%
from pathlib import Path

import numpy as np

from delfjax import plots, provenance
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import PyramidConfig, build_mosaic, merge_levels
from delfjax.images import samples
from delfjax.models import checkpoints
from delfjax.search.matching import match

# %%
LONGEST = 640  # pixels of a photo's longest side
SEED = 0  # of the made view, and of RANSAC
RESULTS, FIGURES = Path("../data/results"), Path("figures")
print(provenance.versions(), provenance.hardware())

# %% [markdown]
# ## Three photos
#
# A pavilion, the same pavilion again (turned by 8°, squeezed to 85 %, in dim yellow light, with noise),
# and a flower. A retrieval system should find the first two to be one place, and say no to the third.

# %%
photo = samples.temple()
view = samples.synthetic_view(photo, seed=SEED)
stranger = samples.flower()
plots.photos([photo, view.photo, stranger], ["photo", "another view", "stranger"])

# %% [markdown]
# ## Every level of the pyramid on one sheet
#
# DELF looks at a photo at seven scales, from 0.25 to 2.0, a factor of $\sqrt 2$ apart. Here they are
# drawn on one sheet that goes through the network once. Black is blank: it is masked inside the network,
# so that each level is computed as if it stood alone.

# %%
config = ExtractionConfig(pyramid=PyramidConfig(longest=LONGEST))
sheet = build_mosaic(photo, config.pyramid)
height, width = sheet.pixels.shape[:2]
plots.photos([sheet.pixels], [f"all pyramid levels, {width} x {height} pixels"])

# %% [markdown]
# ## A descriptor for every 16th pixel, and a score for each
#
# A ResNet-50 cut at conv4 gives a 1024-d descriptor $f_n$ for every cell of 16 x 16 pixels of every
# level; each sees 291 x 291 pixels. Two ways to say which of them matter: the length $\lVert f_n
# \rVert$, the paper's baseline, and the attention score
#
# $$\alpha(f_n;\theta) = \operatorname{softplus}(w_2 \cdot \operatorname{relu}(W_1 f_n + b_1) + b_2) \ge 0.$$
#
# The attention head below was trained on rendered landmarks only (`02_training`), on top of ImageNet's
# descriptors; this is a real photo. Everything after this figure selects by the norm.

# %%
backbone, attention = checkpoints.load_model("delf_att")
extractor = Extractor(backbone, attention, config)
print(extractor.receptive_field)

# %%
dense = extractor.score_maps(photo)
heat = {
    "L2 norm of the descriptor": merge_levels(dense.norms, dense.sizes, dense.image_size),
    "attention, trained on rendered landmarks": merge_levels(
        dense.attention, dense.sizes, dense.image_size
    ),
}
looked_at = plots.heatmaps(photo, heat)
looked_at.save(FIGURES / "quickstart_attention.jpg")
looked_at

# %% [markdown]
# The norm is large on the pavilion and its roofs, small on water and foliage: a network that learned to name
# objects already knows where there is something to name. But it is largest along the border of the bright sky,
# where nothing is: convolutions see zeros beyond a photo's edge, and take the step for an edge of the world.
# Attention, which has only ever seen rendered buildings, is high on the pavilion, and lower on trees and
# most of the sky.

# %% [markdown]
# ## A thousand keypoints
#
# The best thousand cells of all levels become keypoints, each at the center of its receptive field.

# %%
features = [extractor(each) for each in (photo, view.photo, stranger)]
plots.keypoints(photo, features[0], title="the 300 features with the largest norm")

# %% [markdown]
# ## Match, then verify
#
# Descriptors are L2-normalized, reduced to 40 dimensions by PCA, and normalized again. Features
# of the two photos that are each other's nearest are putative matches. RANSAC looks for an affine map that
# many of them agree with: those are the *inliers*, and their number is DELF's score.

# %%
pair = match(features[0], features[1])
before = f"before: {len(pair.matches)} putative matches"
plots.matches(photo, view.photo, pair.matches, title=before)

# %%
title = f"after: {pair.num_inliers} inliers, 200 of them drawn"
after = plots.matches(photo, view.photo, pair, title=title)
after.save(FIGURES / "quickstart.jpg")
after

# %% [markdown]
# The lines that remain fan out in one direction. The map that RANSAC found can be held against the one
# the view was made with:

# %%
print("true affine, (y, x, 1) of the photo to (y, x) of the view:\n", view.affine.round(2))
print("found:\n", pair.affine.round(2))
corners = np.array([[60, 60, 1], [60, 480, 1], [360, 60, 1], [360, 480, 1]])
error = np.linalg.norm(corners @ (pair.affine - view.affine).T, axis=1).mean()
print(f"mean error where the two photos overlap: {error:.1f} pixels")

# %% [markdown]
# And the stranger: few features are each other's nearest. Those that agree lie along the borders of both photos, where
# the norm answers to the padding, and on nothing that is there. So a few inliers prove nothing; hundreds do.

# %%
unrelated = match(features[0], features[2])
title = f"a stranger: {unrelated.num_inliers} inliers of {len(unrelated.matches)} putative matches"
plots.matches(photo, stranger, unrelated, title=title)

# %% [markdown]
# ## Now yours
#
# Choose two photos of one place, or of two. (On a static page this cell shows only the buttons: run the
# notebook with `make lab`.)

# %%
from delfjax.widgets import match_uploads

match_uploads(extractor)

# %% [markdown]
# ## What was claimed, checked

# %%
assert pair.num_inliers > 3 * unrelated.num_inliers, "two views of one place must stand out"
assert error < 10, "the affine map must be the true one, to within a cell"
what = f"RANSAC inliers of two views of one photo; {unrelated.num_inliers} with a stranger"
record = {"value": pair.num_inliers, "what": what, "stranger_inliers": unrelated.num_inliers}
record |= {"affine_error_pixels": round(float(error), 2), "seed": SEED}
provenance.write_result(RESULTS / "quickstart.json", record | provenance.describe(config))

# %% [markdown]
# **What differs from the paper.** The weights are ImageNet's, not fine-tuned on landmarks, and selection
# is by norm: training is the matter of `02_training`. The PCA is learned from the two photos, for want of a
# database. The official code takes a match for putative if one feature is the nearest to the other; here
# each has to be the other's nearest.
#
# **Two things to try.** Set `rotation=40` in `synthetic_view`: how far can a photo be turned before the
# inliers are gone? And set `max_features=100` in the configuration: how few features are enough?
