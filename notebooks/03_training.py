# %% [markdown]
# # Training: first descriptors, then attention
#
# **What you will learn**
#
# - the two training steps of DELF, with their equations and their code
# - why photos are rescaled by a random factor, and why scores are a softplus
# - how to read training curves, and how to notice that the attention does not learn
# - how to train a model with your own photos
#
# **Prerequisites:** [DELF from scratch](02_from_scratch.ipynb), which derives the equations and explains JAX.
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Sections 4.1 and 4.2, Fig. 4.
#
# **Time:** 25 minutes to read and to solve the exercises. The cells take about one minute on two CPU cores. The complete
# training takes about twenty minutes and is switched off.
#
# **Outside a clone,** for example in Colab, first run `%pip install "delfjax[notebooks] @ git+URL"` with the URL of the
# repository.

# %%
from dataclasses import replace

import numpy as np

import delfjax as dx
from delfjax import files, training
from notebooks import exercises, lesson

# %%
STEPS = 40  # of the small run below
TRAIN = False  # True: run the complete training, too
RUNS = files.cache_folder() / "runs"  # an interrupted run resumes from here

# %% [markdown]
# ## Step 1: train descriptors (Fig. 4a)
#
# The network is a ResNet-50 with ImageNet weights, up to the stage conv4. Its descriptors are good at telling a cat from
# a car. In step 1 they learn to tell landmarks from each other. The only labels are the names of the landmarks.
#
# For each photo, the network computes descriptors $f_1, \dots, f_N$, one for each of its $N$ cells. Their average goes
# through a linear classifier $W$, which returns a score $y_m$ for each of the $M$ landmarks. The loss $L$ is
# the cross-entropy:
#
# $$y = W\,\frac{1}{N}\sum_{n=1}^{N} f_n, \qquad
# L = -\log\frac{\exp(y_{m^*})}{\sum_{m=1}^{M}\exp(y_m)},$$
#
# where $m^*$ is the number of the correct landmark. After training, $W$ is thrown away and the descriptors are kept.
# Fig. 4 is drawn in [Quickstart](00_quickstart.ipynb).
#
# The photo is cropped to its central square and resized to 250 x 250 pixels. Each time the network sees the photo, it sees
# another random crop of 224 x 224 pixels.
#
# The paper does not say which layer is averaged. The official code averages conv5. Here it is conv4;
# `training.with_conv5` gives the other choice, and [Attention](04_attention.ipynb) compares them.

# %% [markdown]
# ## Step 2: train attention (Fig. 4b, Eqs. 1 to 3)
#
# The descriptors are now fixed. The attention $\alpha(f_n; \theta) \ge 0$ gives each descriptor a score; $\theta$ are its
# weights ([DELF from scratch](02_from_scratch.ipynb) has the formula). A new classifier $W$ sees the sum of the descriptors,
# weighted by their scores:
#
# $$y = W \sum_{n=1}^{N} \alpha(f_n;\theta)\, f_n, \qquad
# \frac{\partial L}{\partial\theta} = \frac{\partial L}{\partial y}\sum_{n=1}^{N} W f_n\,
# \frac{\partial\alpha(f_n;\theta)}{\partial\theta}.$$
#
# The loss is the same as in step 1. No label says where the landmark is. But houses and trees surround all landmarks, so
# their descriptors do not help the classifier. The loss falls when the attention gives them low scores.
#
# [DELF from scratch](02_from_scratch.ipynb) derives the gradient and checks it.
#
# ### The random factor $\gamma$
#
# A landmark can be large or small in a photo. At search time, DELF sees each photo at seven scales. In training it sees one
# scale at a time: the crop of 720 x 720 pixels is rescaled by a random factor
# $\gamma \in \{1, 1/\sqrt 2, 1/2, 1/(2\sqrt 2), 1/4\}$, the same for the whole batch. A side of $720\gamma$ pixels has
# $\lceil 720\gamma / 16\rceil$ cells.

# %%
paper = training.paper_config("attention").augmentation
photo = lesson.real_photo("berlin_02")[:, 80:560]  # a square
sides = sorted(paper.input_sizes, reverse=True)
small = [lesson.resize(photo, (side, side)) for side in sides]
canvases = [np.full((sides[0], side, 3), 255, np.uint8) for side in sides]
for canvas, image in zip(canvases, small, strict=True):
    canvas[-len(image) :] = image
titles = [f"{cells} x {cells} cells" for cells in np.ceil(np.array(sides) / 16).astype(int)]
dx.plots.photos(canvases, titles, width=8)

# %% [markdown]
# *The same crop at the five factors, with sides of 720 to 180 pixels. A cell always has 16 pixels, so a cell of the smallest photo
# sees a large part of the door.*

# %%
lesson.source("delfjax.training.step.augment")

# %% [markdown]
# The function is compiled once per size: five sizes, five programs. `jax.vmap` cuts a crop from each photo at another
# position, and the random key decides where.
#
# ### Why softplus?
#
# A score weights a descriptor, so it should not be negative. $\operatorname{relu}(x) = \max(x, 0)$ is not negative either, but its
# slope is exactly 0 for $x < 0$: a cell with the score 0 could never get a higher one. The softplus
# $\log(1 + e^x)$ is a smooth version of it. Its slope is the sigmoid $\sigma(x) = 1 / (1 + e^{-x})$, which is always positive.

# %%
x = np.linspace(-8, 4, 200)
sigmoid = 1 / (1 + np.exp(-x))
figure, axes = dx.plots.subplots(8, 2.6, 1, 2)
for ax, relu, softplus in (
    (axes[0, 0], x.clip(0), np.log1p(np.exp(x))),
    (axes[0, 1], x > 0, sigmoid),
):
    ax.plot(x, relu, color=dx.plots.NEUTRAL, label="relu")
    ax.plot(x, softplus, color=dx.plots.COLORS[0], label="softplus")
    ax.set(xlabel="x")
axes[0, 1].plot(x, sigmoid.clip(0.01), ":", color=dx.plots.COLORS[1], label="delfjax")
axes[0, 0].set(ylabel="score")
axes[0, 1].set(ylabel="slope (log scale)", yscale="log", ylim=(1e-4, 2))
figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside right upper")
figure

# %% [markdown]
# *Left: relu and softplus are equal far from 0. Right: the slope of the softplus becomes small, but not 0; delfjax keeps it at 0.01
# or more (dotted).*
#
# The last section of this notebook shows why delfjax has this limit.

# %%
lesson.source("delfjax.models.attention._softplus_jvp")

# %% [markdown]
# ## Settings
#
# `paper_config` is for GPUs and a large data set. It has the crops and factors of the paper. The paper names no optimizer and no
# number of batches, so these are from the official code. `small_config` is for a few hundred photos and a CPU.

# %%
for name, make_config in {"paper": training.paper_config, "small": training.small_config}.items():
    for variant in ("finetune", "attention"):
        config = make_config(variant)
        sizes = ", ".join(str(size) for size in sorted(config.augmentation.input_sizes))
        print(f"{name} {variant:9}  photos of {sizes} pixels,", end=" ")
        print(f"{config.optimizer.steps:,} batches of {config.batch_size}, {config.optimizer.kind}")

# %% [markdown]
# ## Train a small model
#
# To see step 1 at work, train it on five landmarks only. `dx.train` needs a folder with one sub-folder of photos per
# landmark. It holds out a fifth of the photos to validate the model. The same call resumes an interrupted run.

# %%
photos = dx.datasets.rendered.training_photos()
landmarks = sorted(set(photos.labels))[::10]
five = replace(photos, names=tuple(n for n in photos.names if n.split("/")[0] in landmarks))

# %%
config = training.small_config("finetune")
config = replace(config, optimizer=replace(config.optimizer, steps=STEPS), save_every=10)
small_photos = replace(config.augmentation, resize=125, crop=112)  # faster than 224 pixels
config = replace(config, augmentation=small_photos)
trained = dx.train(five, RUNS / f"five_landmarks_{STEPS}_steps", config=config)

# %%
dx.plots.training_curves({"five landmarks": trained.log}, classes=len(landmarks))

# %% [markdown]
# *The loss falls far below that of a random guess (dotted), and most held-out photos are classified correctly after
# a few dozen batches.*
#
# With $M$ landmarks, a random guess has a loss of $\log M$ and is correct once in $M$ times. For five landmarks the loss
# is $\log 5 \approx 1.6$.
#
# The result is a model file. `dx.load` reads it, and the model works everywhere in delfjax:

# %%
folder = dx.datasets.rendered.ROOT / "eval" / "images"
day = dx.read_image(folder / "striped_duomo_010.jpg")
night = dx.read_image(folder / "striped_duomo_006.jpg")
model = dx.load(trained.file)
print(dx.match(model(day), model(night)).num_inliers, "inliers between two photos of a landmark")

# %% [markdown]
# To train with your own photos: `dx.train("photos", "run")` for step 1, then
# `dx.train("photos", "run_attention", variant="attention", start="run/model.safetensors")` for step 2.

# %% [markdown]
# ## The complete training
#
# The models that come with delfjax were trained on all 49 training landmarks. A fifth of the photos of each landmark was
# held out. The state with the lowest loss on these photos became the model. This cell reads the logs of the three
# runs:

# %%
runs = {"step 1: descriptors": "delf_ft", "step 2: attention": "delf_ft_att"}
runs["step 2 on ImageNet descriptors"] = "delf_att"
logs = {title: lesson.training_log(name) for title, name in runs.items()}

# %% [markdown]
# With `TRAIN = True`, this cell repeats the runs and replaces the logs:

# %%
if TRAIN:
    step_1 = dx.train(photos, RUNS / "delf_ft")
    step_2 = dx.train(photos, RUNS / "delf_ft_att", variant="attention", start=step_1.file)
    other = dx.train(photos, RUNS / "delf_att", variant="attention")
    logs = dict(zip(logs, (step_1.log, step_2.log, other.log), strict=True))

# %%
figure = dx.plots.training_curves(logs, classes=49)
figure.save("figures/training_curves.png")
figure

# %% [markdown]
# *All three runs learn quickly and level off after about 200 steps. Fine-tuned descriptors (blue, orange) classify more
# held-out photos correctly than ImageNet descriptors (green).*

# %%
for title, log in logs.items():
    validated = [record for record in log if "validation_loss" in record]
    best = min(validated, key=lambda record: record["validation_loss"])
    accuracy = next(value for key, value in best.items() if key.endswith("accuracy"))
    print(
        f"{title:31} best at step {best['step']}: {accuracy:.0%} of held-out photos correct,",
        end=" ",
    )
    print(f"trained in {log[-1]['seconds'] / 60:.0f} minutes")

# %% [markdown]
# ## Train both steps at once
#
# The paper reports that training descriptors and attention together is unstable, and therefore trains in two steps.
# `variant="joint"` trains both together. Is it unstable here?

# %%
joint = lesson.training_log("joint0")
both = {"step 2 of two steps": logs["step 2: attention"], "both steps at once": joint}
dx.plots.training_curves(both, classes=49)

# %% [markdown]
# *Joint training starts more slowly, and ends with a slightly lower loss. The learning rate of joint training is that of the
# backbone; that of attention and classifier is 30 times as high.*
#
# It is stable here, with a learning rate for the network that is thirty times lower than for the attention and the
# classifier. **Limitation:** this is one run. [Attention](04_attention.ipynb) compares the models in retrieval.

# %% [markdown]
# ## When the attention does not learn
#
# Users of other DELF implementations report an attention loss that stays between 7.2 and 7.4. A random guess among 1,340
# landmarks has the loss $\log 1340 \approx 7.2$, so these models learned nothing. Compare the loss with $\log M$ first when you
# train. Two causes are known.
#
# **Cause 1: all scores become zero.** A score is $\operatorname{softplus}(x) = \log(1 + e^x)$, where $x$ is the output
# of the last layer of the attention. Its derivative $1 / (1 + e^{-x})$ is almost zero for very negative $x$, so the score
# no longer changes. If the scores of all cells are almost zero, so is the gradient of the attention. This happened here in one of three runs with
# different seeds, within the first steps.

# %%
failed = lesson.training_log("att2_stuck")
repaired = lesson.training_log("att2")
dx.plots.training_curves({"failed run": failed, "with a minimum slope": repaired}, classes=49)

# %% [markdown]
# *Both runs start with the loss of a random guess and a gradient norm near 0.2. In the repaired run the gradient then
# grows and the loss falls. In the failed run (blue, stopped at step 100) nothing changes.*
#
# In the repaired run, the derivative of the softplus is at least 0.01 in training. The function itself is unchanged. A
# score of zero can now rise again. In addition, the last layer starts with zeros, so that all cells start with the same score
# $\log 2$. Both are part of delfjax.
#
# **Cause 2: the learning rate does not fit the pooling.** The *sum* over cells in the equation above grows with the area of the
# photo: between $\gamma = 1/4$ and $\gamma = 1$ by a factor of about fourteen for
# crops of 720 pixels (Exercise 2). The *mean* over cells does not. The official code and
# delfjax therefore use the mean. To use the sum, set `pooling="sum"` in `ClassifierConfig`, and a lower learning rate.

# %% [markdown]
# ## Checks
#
# This cell fails if a statement of this notebook is no longer true.

# %%
losses = [record["loss"] for record in trained.log if "loss" in record]
assert losses[-1] < losses[0] / 2, "the small run learns"
for title, log in logs.items():
    held_out = [record["validation_loss"] for record in log if "validation_loss" in record]
    assert min(held_out) < 2, (
        f"{title}: about half the loss of a random guess, log 49 = 3.9, or less"
    )
assert min(record["loss"] for record in failed if "loss" in record) > 3.8, "the failed run does not"

# %% [markdown]
# ## Summary
#
# - Step 1 trains descriptors by classifying their average. Step 2 trains the attention by classifying their weighted sum.
# - The only labels are names of landmarks. The loss starts at $\log M$; a loss that stays there has learned nothing.
# - The factor $\gamma$ shows landmarks at several sizes. The softplus keeps the scores positive and their slope above 0.
#
# ## Differences from the paper
#
# - The data are 49 landmarks with 12 training photos each, not a large set of real landmarks.
# - Only conv4 is trained. The other stages and all batch normalizations keep the values of ImageNet.
# - Step 2 sees crops of 240 pixels, not 720, so that it runs on a CPU.
# - Weighted pooling is the mean of unit descriptors, as in the official code. Eq. 1 is a sum.
# - The paper does not give the learning rate, the optimizer or the number of steps. `paper_config` has those of the official
#   code.

# %% [markdown]
# ## Exercises
#
# Replace `...` and run the cell. The check tells you if the function is right. The solution is in the folded cell below.
#
# **1. Blind guess.** Return the cross-entropy of a classifier that gives all `classes` the same probability.


# %%
def blind_loss(classes): ...


exercises.check_blind_loss(blind_loss)


# %% tags=["solution"] jupyter={"source_hidden": true}
def blind_loss(classes):
    return np.log(classes)


exercises.check_blind_loss(blind_loss)

# %% [markdown]
# **2. Cells.** Return the number of cells of a square crop of `side` pixels that was rescaled by `gamma`. By which factor does the
# number differ between $\gamma = 1$ and $\gamma = 1/4$?


# %%
def cells(side, gamma): ...


exercises.check_cells(cells)


# %% tags=["solution"] jupyter={"source_hidden": true}
def cells(side, gamma):
    return np.ceil(side * gamma / 16) ** 2


exercises.check_cells(cells)

# %% [markdown]
# **3. Slope of the softplus.** Return the derivative of $\log(1 + e^x)$ at `x`.


# %%
def softplus_slope(x): ...


exercises.check_softplus_slope(softplus_slope)


# %% tags=["solution"] jupyter={"source_hidden": true}
def softplus_slope(x):
    return np.exp(x) / (1 + np.exp(x))


exercises.check_softplus_slope(softplus_slope)

# %% [markdown]
# **To try** (use a new folder for each experiment: a folder belongs to one set of settings):
#
# - Train the small model for 10 and for 100 steps. When does it stop improving on the held-out photos?
# - Train the attention with `pooling="sum"` in `config.network`. What happens to the gradient norm?
#
# **Next:** [Attention](04_attention.ipynb) shows what the attention selects.
