# %% [markdown]
# # DELF from scratch: the attention in 60 lines of JAX
#
# **What you will learn**
#
# - how to write the attention of DELF, its pooling and its loss as plain functions in JAX
# - how to derive the gradient by hand, and how to check it with `jax.grad`
# - how to train the attention with Optax, and what it looks at before and after
# - what `jit`, `vmap` and sharding do, and how much time they save
# - how the same code looks in Flax and in delfjax
#
# **Prerequisites:** Python and PyTorch. You need not know JAX. [Quickstart](00_quickstart.ipynb) explains what the
# attention is for.
#
# **Paper:** Noh, Araujo, Sim, Weyand and Han, *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 4.2, Eqs. 1 to 3, Fig. 4b.
#
# **Time:** 45 minutes to read and to solve the exercises. The cells take about one minute on two CPU cores. The first run also
# downloads about 100 MB of ImageNet weights.
#
# **Outside a clone,** for example in Colab, first run `%pip install "delfjax[notebooks] @ git+URL"` with the URL of the
# repository.

# %%
import jax
import optax
from flax import nnx

import delfjax as dx
from notebooks import exercises, lesson

# %%
jax.config.update("jax_num_cpu_devices", 2)  # for the section on sharding; before any computation
jnp = jax.numpy  # the functions of NumPy, on any device

# %% [markdown]
# ## JAX for users of PyTorch
#
# JAX computes with arrays, like NumPy. It transforms *functions*: `jax.grad` returns the gradient of a function, and
# `jax.jit` returns a compiled version of it.
#
# | PyTorch | JAX |
# |---|---|
# | `tensor.add_(1)` changes a tensor | arrays never change: `array + 1`, `array.at[0].set(1)` |
# | `loss.backward()`, then `weight.grad` | `jax.grad(loss)(weights)` returns the gradient |
# | the weights are inside an `nn.Module` | the weights are an argument, often a dict of arrays |
# | `optimizer.step()` changes the weights | `optax.apply_updates(weights, updates)` returns new weights |
# | `torch.compile(function)` | `jax.jit(function)` |
# | a loop over a batch, or `torch.vmap` | `jax.vmap(function)` |
# | `torch.manual_seed(0)`, then `torch.randn(3)` | `jax.random.normal(jax.random.key(0), 3)`; a key always gives the same numbers |

# %% [markdown]
# ## The photos
#
# Seven rendered landmarks, with 15 photos each. The label of a photo is the number of its landmark. Every fifth photo is
# held out: it is never used for training.

# %%
folder = dx.datasets.rendered.training_photos()
landmarks = sorted(set(folder.labels))[::8]
names = [name for name in folder.names if name.split("/")[0] in landmarks]
photos = lesson.square_photos(folder, names, side=240)
labels = jnp.array([landmarks.index(name.split("/")[0]) for name in names])
held_out = jnp.arange(len(names)) % 5 == 0

# %%
dx.plots.photos(list(photos[::15]), [name.replace("_", " ") for name in landmarks], width=12)

# %% [markdown]
# *One photo of each landmark.*
#
# ## The backbone is frozen
#
# In step 2 of the paper, the network that computes the descriptors does not change any more. So we run it once per photo
# and keep the result. It divides a photo into cells of 16 x 16 pixels, and returns a descriptor $f_n \in \mathbb R^{1024}$ for
# each cell $n$.
#
# The network of delfjax is a Flax module. `nnx.split` takes it apart into its structure (`graph`) and its weights (`state`, a
# nested dict of arrays). A function of arrays can be compiled.

# %%
graph, state = nnx.split(dx.load("delf_att").backbone)


@jax.jit
def descriptors(state, photos):
    return nnx.merge(graph, state)(photos)["conv4"]


batches = photos.astype("float32").reshape(7, 15, 240, 240, 3)
maps = jnp.concatenate([descriptors(state, batch) for batch in batches])
print(f"photos {photos.shape} -> descriptors {maps.shape}")

# %% [markdown]
# ## The attention $\alpha$
#
# The attention gives each descriptor a score. It consists of two 1x1 convolutions. A 1x1 convolution applies one
# matrix to the descriptor of every cell:
#
# $$\alpha(f_n;\theta) = \operatorname{softplus}\bigl(w_2^\top \operatorname{relu}(W_1^\top f_n + b_1) + b_2\bigr),
# \qquad \operatorname{softplus}(x) = \log(1 + e^x)$$
#
# The weights are $\theta = (W_1, b_1, w_2, b_2)$ with $W_1 \in \mathbb R^{1024\times 128}$, $b_1, w_2 \in \mathbb R^{128}$ and
# $b_2 \in \mathbb R$. (delfjax uses 512 in place of 128.) The softplus keeps the scores above zero. Its slope is never exactly
# zero, unlike that of a ReLU.


# %%
def attention(theta, f):
    hidden = jax.nn.relu(f @ theta["W1"] + theta["b1"])
    return jax.nn.softplus(hidden @ theta["w2"] + theta["b2"])


# %%
def init(key, hidden=128, classes=7):
    w1 = jax.random.normal(key, (1024, hidden)) * (2 / 1024) ** 0.5
    theta = {"W1": w1, "b1": jnp.zeros(hidden), "w2": jnp.zeros(hidden), "b2": jnp.zeros(())}
    return {"theta": theta, "W": jnp.zeros((classes, 1024))}


params = init(jax.random.key(0))
scores = attention(params["theta"], maps)
print(f"scores {scores.shape}, all {scores.min():.4f}: log 2 is {jnp.log(2):.4f}")

# %% [markdown]
# The function `attention` treats one descriptor, a map of descriptors, or a batch of maps: `@` multiplies the last axis. All
# scores are $\log 2$, because $w_2 = 0$.
#
# delfjax has the same formula as a Flax module. `Float[Array, "b y x c"]` names the axes: batch, rows, columns, channels:

# %%
lesson.source("delfjax.models.attention.Attention.__call__")

# %% [markdown]
# ## Weighted pooling (Eq. 1)
#
# The descriptors of a photo are added up, weighted by their scores. A linear classifier $W \in \mathbb R^{M \times 1024}$
# turns the sum into one number per landmark, the *logits* $y \in \mathbb R^M$. Here $M = 7$:
#
# $$y = W \sum_{n=1}^{N} \alpha(f_n;\theta)\, f_n$$
#
# The official code divides each descriptor by its L2 norm, $\hat f_n = f_n / \lVert f_n\rVert$, and divides the sum by the number
# of cells $N$. We do the same:


# %%
def logits(params, f):
    unit = f / jnp.linalg.norm(f, axis=-1, keepdims=True)
    pooled = jnp.einsum("yx,yxc->c", attention(params["theta"], f), unit) / f[..., 0].size
    return params["W"] @ pooled


print(f"descriptors {maps[0].shape} -> logits {logits(params, maps[0]).shape}")

# %%
lesson.source("delfjax.models.attention.weighted_pool")

# %% [markdown]
# ## The loss (Eq. 2)
#
# The loss is the cross-entropy. $m^*$ is the label of the photo, and $p_m$ is the probability that the classifier gives
# to landmark $m$:
#
# $$L = -\log p_{m^*}, \qquad p_m = \frac{\exp(y_m)}{\sum_{k=1}^{M}\exp(y_k)}$$
#
# A classifier that knows nothing gives all landmarks the probability $1/M$. Then $L = -\log\frac1M = \log M$. This is the
# **loss at a blind guess**. A loss that stays there has learned nothing.


# %%
def loss(params, f, label):
    return -jax.nn.log_softmax(logits(params, f))[label]


print(f"loss {loss(params, maps[0], labels[0]):.4f}, log 7 = {jnp.log(7):.4f}")

# %%
lesson.source("delfjax.training.step.cross_entropy")

# %% [markdown]
# ## The gradient, by hand and by `jax.grad` (Eq. 3)
#
# Which way should the weights change? The chain rule takes four steps.
#
# 1. From the loss to the logits. Write $L = \log\sum_k e^{y_k} - y_{m^*}$. Then
#    $g = \frac{\partial L}{\partial y} = p - e_{m^*}$, where $e_{m^*}$ is 1 at the label and 0 elsewhere.
# 2. From the logits to one score. $y = \frac1N\sum_n \alpha_n W\hat f_n$ is linear in $\alpha_n$, so
#    $\frac{\partial L}{\partial \alpha_n} = \frac1N\, g^\top W \hat f_n$.
# 3. From the score to the weights. With $h_n = \operatorname{relu}(W_1^\top f_n + b_1)$ and $x_n = w_2^\top h_n + b_2$,
#    the slope of the softplus is $\frac{\partial \alpha_n}{\partial x_n} = \frac{1}{1 + e^{-x_n}}$, the sigmoid. Then
#    $\frac{\partial x_n}{\partial w_2} = h_n$ and $\frac{\partial x_n}{\partial b_2} = 1$. For the first layer, relu passes the
#    gradient only where $h_n > 0$: $\frac{\partial x_n}{\partial b_1} = w_2 \odot [h_n > 0]$.
# 4. For the classifier, $\frac{\partial L}{\partial W} = g\,\bigl(\frac1N\sum_n\alpha_n\hat f_n\bigr)^\top$.
#
# Together this is Eq. 3 of the paper:
# $\frac{\partial L}{\partial\theta} = \frac{\partial L}{\partial y}\sum_n W f_n \frac{\partial\alpha_n}{\partial\theta}$, here with
# $\frac1N\hat f_n$ in place of $f_n$. Read step 2: **the score of a cell rises if its descriptor, seen through $W$, speaks for the
# correct landmark**, because then $g^\top W\hat f_n$ is negative.
#
# We check it at random weights, where no term is zero:

# %%
keys = iter(jax.random.split(jax.random.key(1), 5))
some = jax.tree.map(lambda w: 0.05 * jax.random.normal(next(keys), w.shape), params)
theta, W, f = some["theta"], some["W"], maps[0].reshape(-1, 1024)
unit = f / jnp.linalg.norm(f, axis=-1, keepdims=True)
h = jax.nn.relu(f @ theta["W1"] + theta["b1"])
x = h @ theta["w2"] + theta["b2"]
pooled = jax.nn.softplus(x) @ unit / len(f)
g = jax.nn.softmax(W @ pooled) - jax.nn.one_hot(labels[0], 7)
dx_n = (unit @ W.T @ g) / len(f) * jax.nn.sigmoid(x)  # dL/dx_n of each cell
dh = jnp.outer(dx_n, theta["w2"]) * (h > 0)
by_hand = {"W1": f.T @ dh, "b1": dh.sum(0), "w2": h.T @ dx_n, "b2": dx_n.sum()}
by_hand = {"theta": by_hand, "W": jnp.outer(g, pooled)}

# %%
by_jax = jax.grad(loss)(some, maps[0], labels[0])
same = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(a).max()), by_jax, by_hand)
print("largest relative difference:", {**same.pop("theta"), **same})

# %% [markdown]
# The differences are rounding errors of 32-bit numbers. `jax.grad(loss)` has the structure of `params`: a dict of arrays with the
# same names and shapes. JAX calls such a nested structure a *pytree*, and `jax.tree.map` applies a function to all its arrays.
#
# ## One training step
#
# `loss` treats one photo. `jax.vmap` makes a function of a batch from it: it adds an axis to `f` and `label` (`in_axes=0`), and
# shares `params` (`None`).


# %%
def batch_loss(params, maps, labels):
    return jax.vmap(loss, in_axes=(None, 0, 0))(params, maps, labels).mean()


optimizer = optax.adam(2e-3)


# %%
@jax.jit
def step(params, opt_state, maps, labels):
    value, gradient = jax.value_and_grad(batch_loss)(params, maps, labels)
    updates, opt_state = optimizer.update(gradient, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value


# %%
opt_state = optimizer.init(params)
after_one, _, value = step(params, opt_state, maps[:15], labels[:15])
print(f"loss of 15 photos: {value:.3f} -> {batch_loss(after_one, maps[:15], labels[:15]):.3f}")

# %% [markdown]
# A step changes nothing in place. It takes the weights and returns new ones, so you can repeat it, and you get the same
# result. The step of delfjax does the same, with random crops and metrics:

# %%
lesson.source("delfjax.training.step.train_step")

# %% [markdown]
# ## A short training

# %%
train_rows = jnp.flatnonzero(~held_out)
history = {"training": {}, "held out": {}}
trained, opt_state = params, optimizer.init(params)
for number, key in enumerate(jax.random.split(jax.random.key(2), 100)):
    rows = jax.random.choice(key, train_rows, (16,), replace=False)
    trained, opt_state, value = step(trained, opt_state, maps[rows], labels[rows])
    history["training"][number] = value  # before the step
    if number % 5 == 4:
        history["held out"][number + 1] = batch_loss(trained, maps[held_out], labels[held_out])

# %%
figure, axes = dx.plots.subplots(6, 3)
ax = axes[0, 0]
for color, (name, values) in zip(dx.plots.COLORS, history.items(), strict=False):
    ax.plot(values.keys(), values.values(), color=color, label=name)
ax.axhline(jnp.log(7), color=dx.plots.NEUTRAL, linestyle=":", label="blind guess, log 7")
ax.set(xlabel="step", ylabel="loss", ylim=(0, None))
figure.legend(loc="outside right upper")
figure

# %% [markdown]
# *The loss starts at the loss of a blind guess and falls within a few dozen steps. The loss on held-out photos stays higher,
# because 84 photos are few.*


# %%
def accuracy(params, rows):
    guesses = jax.vmap(logits, in_axes=(None, 0))(params, maps[rows]).argmax(-1)
    return float((guesses == labels[rows]).mean())


print(
    f"held-out photos correct: {accuracy(params, held_out):.0%} before (one class for all),",
    end=" ",
)
print(f"{accuracy(trained, held_out):.0%} after")

# %% [markdown]
# ## Where does the attention look?
#
# Four held-out photos, with three maps: the norm $\lVert f_n\rVert$ of the descriptors, the attention before training, and the
# attention after it.


# %%
def score_maps(photo, f):
    norm, theta = jnp.linalg.norm(f, axis=-1), trained["theta"]
    maps = {"L2 norm": norm, "before": attention(params["theta"], f), "after": attention(theta, f)}
    return photo, {name: lesson.enlarge(scores, photo.shape[:2]) for name, scores in maps.items()}


dx.plots.heatmap_grid([score_maps(photos[row], maps[row]) for row in (15, 30, 60, 90)])

# %% [markdown]
# *Before training, all cells have the same score, so the map has one color. After it, the clock tower, the houses on the
# bridge, the rotunda and the ziggurat stand out from the sky and the street more clearly than in the map of the norm.*
#
# No label says where the landmark is. The attention found it because only the landmark helps to lower the loss.
#
# Does it work on a real photo? The attention has seen 84 rendered photos:

# %%
real = lesson.real_photo("berlin_01")
dx.plots.heatmap_grid([score_maps(real, descriptors(state, real[None].astype("float32"))[0])])

# %% [markdown]
# *The cathedral fills this photo. The trained attention selects ornaments and capitals, and gives low scores to the inside of the
# arch. It differs less from the norm than on the rendered photos.*
#
# ## What `jit`, `vmap` and sharding buy
#
# The example is small on purpose: the affine map $A \in \mathbb R^{2\times 3}$ that takes three points to three others. RANSAC
# computes thousands of such maps ([Quickstart](00_quickstart.ipynb)). With the points as the rows of $Q$ and $D$, the map solves
# $[Q\;1]\,A^\top = D$:


# %%
def affine_map(query, database):
    return jnp.linalg.solve(jnp.c_[query, jnp.ones(3)], database).T


query, database = jax.random.normal(jax.random.key(3), (2, 1000, 3, 2))  # 1,000 triples of points

# %% [markdown]
# **`jit`** compiles a function for the shapes of its arguments. XLA merges small operations into one program. The first call is
# slow, because it compiles.

# %%
fast_map = jax.jit(affine_map)
print(
    f"one map without jit: {lesson.milliseconds(affine_map, query[0], database[0]):.3f} ms,",
    end=" ",
)
print(f"with jit: {lesson.milliseconds(fast_map, query[0], database[0]):.3f} ms")

# %% [markdown]
# **`vmap`** turns a function of one item into a function of many, without a loop. So you can write the formula as in the paper, for
# one item, and still compute a whole batch:

# %%
all_maps = jax.jit(jax.vmap(affine_map))
loop_time = lesson.milliseconds(
    lambda: [fast_map(*pair) for pair in zip(query, database, strict=True)]
)
print(f"1,000 maps in a loop: {loop_time:.1f} ms,", end=" ")
print(f"with vmap: {lesson.milliseconds(all_maps, query, database):.1f} ms")

# %% [markdown]
# The loop starts thousands of small programs: some cut a triple out of the arrays, and one computes its map. `vmap` starts one. Large matrix products gain less: on a CPU, the training step above
# takes about as long without `jit`.
#
# **Sharding** divides a batch over several devices. A *mesh* names the devices, and a *sharding* says which axis of an array is
# divided. The compiled function needs no change: XLA computes each part where its data are, and adds up the gradients.
#
# This computer may have no GPU. So the second cell of this notebook told JAX to treat the CPU as two devices.

# %%
batch, fast = (maps[:16], labels[:16]), jax.jit(jax.grad(batch_loss))
mesh = jax.sharding.Mesh(jax.devices("cpu")[:2], ("photos",))
by_photo = jax.NamedSharding(mesh, jax.P("photos"))
everywhere = jax.NamedSharding(mesh, jax.P())
sharded = jax.device_put(batch, by_photo)
copies = jax.device_put(trained, everywhere)
for shard in sharded[0].addressable_shards:
    print(shard.device, shard.data.shape)

# %%
on_one, on_two = jax.device_get((fast(trained, *batch), fast(copies, *sharded)))
difference = jax.tree.map(lambda a, b: float(abs(a - b).max()), on_one, on_two)
print("largest difference of the gradients:", max(jax.tree.leaves(difference)))
print(f"one device: {lesson.milliseconds(fast, trained, *batch):.0f} ms,", end=" ")
print(f"two devices: {lesson.milliseconds(fast, copies, *sharded):.0f} ms")

# %% [markdown]
# Each device has half of the photos, and the gradient is the same up to rounding. The two devices share the cores of one CPU, so
# this saves little time here. On a machine with eight GPUs, each computes an eighth of the batch. `dx.train` does this on all devices
# that JAX finds.
#
# ## The same in Flax
#
# A Flax module keeps the weights together with the code, like `nn.Module` of PyTorch. `nnx.split` and `nnx.merge` convert
# between the module and plain arrays, which `jax.grad` and `jax.jit` need.

# %%
conv = {"kernel_size": (1, 1), "rngs": nnx.Rngs(0)}
head = nnx.Sequential(
    nnx.Conv(1024, 128, **conv), jax.nn.relu, nnx.Conv(128, 1, **conv), jax.nn.softplus
)
head.layers[0].kernel[...] = trained["theta"]["W1"][None, None]  # [height, width, in, out]
head.layers[0].bias[...] = trained["theta"]["b1"]
head.layers[2].kernel[...] = trained["theta"]["w2"][None, None, :, None]
head.layers[2].bias[...] = trained["theta"]["b2"][None]

# %%
flax_scores, ours = head(maps[:2])[..., 0], attention(trained["theta"], maps[:2])
print("largest relative difference:", float(jnp.abs(flax_scores / ours - 1).max()))

# %% [markdown]
# ## Summary
#
# - The attention is two matrices and a softplus. The loss is a cross-entropy on a weighted mean of descriptors.
# - The gradient raises the score of a cell if its descriptor speaks for the correct landmark.
# - A training step is a pure function: weights in, new weights out.
# - `jit` compiles, `vmap` adds a batch axis, and a sharding divides it over devices. None of them changes the result.
#
# ## Differences from the paper
#
# - The paper trains on a hundred thousand photos or more. Here are 84, at one scale. [Training](03_training.ipynb) shows the
#   random scales and the longer training of the models that come with delfjax.
# - The hidden layer has 128 channels. The official code has 512.
# - As in the official code, Eq. 1 is the mean of unit descriptors and not the sum of descriptors.

# %% [markdown]
# ## Exercises
#
# Replace `...` and run the cell. The check tells you if the function is right. The solution is in the folded cell below.
#
# **1. Weighted sum.** Compute $\sum_n \alpha_n f_n$ from `scores` of shape `[n]` and `descriptors` of shape `[n, c]`.


# %%
def pool(scores, descriptors): ...


exercises.check_pool(pool)


# %% tags=["solution"] jupyter={"source_hidden": true}
def pool(scores, descriptors):
    return (scores[:, None] * descriptors).sum(axis=0)


exercises.check_pool(pool)

# %% [markdown]
# **2. Gradient of the loss.** Return $\partial L/\partial y = p - e_{m^*}$ for the logits $y$ and the label $m^*$, without
# `jax.grad`.


# %%
def logit_gradient(logits, label): ...


exercises.check_logit_gradient(logit_gradient)


# %% tags=["solution"] jupyter={"source_hidden": true}
def logit_gradient(logits, label):
    return jax.nn.softmax(logits).at[label].add(-1)


exercises.check_logit_gradient(logit_gradient)

# %% [markdown]
# **3. One gradient per photo.** PyTorch's `backward` adds up the gradients of a batch. Combine `jax.vmap` and `jax.grad` to get
# the gradient of `loss(weights, photo, label)` for each photo.


# %%
def photo_gradients(loss, weights, photos, labels): ...


exercises.check_photo_gradients(photo_gradients)


# %% tags=["solution"] jupyter={"source_hidden": true}
def photo_gradients(loss, weights, photos, labels):
    return jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(weights, photos, labels)


exercises.check_photo_gradients(photo_gradients)

# %% [markdown]
# ## Checks
#
# This cell fails if a statement of this notebook is no longer true.

# %%
assert abs(float(batch_loss(params, maps, labels)) - float(jnp.log(7))) < 1e-5, "a blind guess"
assert max(jax.tree.leaves(same)) < 1e-3, "the gradient by hand is right"
assert history["training"][99] < 0.5, "the training learns"
assert accuracy(trained, held_out) > 0.5, "most held-out photos are correct"
assert max(jax.tree.leaves(difference)) < 1e-5, "sharding does not change the gradient"

# %% [markdown]
# **Next:** [Training](03_training.ipynb) trains descriptors and attention with delfjax.
