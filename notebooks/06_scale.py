# %% [markdown]
# # Scale: the cost of ten million descriptors, and of a billion
#
# **What you will learn**
#
# - read how the time and memory of an index grow with the database, and fit a power law,
# - compute the bytes of a photo in an index,
# - plan machines, hours and money for a billion descriptors.
#
# **Prerequisites:** [Retrieval: from features to a ranking](05_retrieval.ipynb), which explains graphs and recall.
#
# **Time:** 20 minutes to read and to solve the exercises. The cells take seconds, because they read results from
# `data/results`. `python -m benchmarks costs` measures the kinds of index again, and `python -m benchmarks scale`
# compares them with other libraries.
#
# **Outside a clone,** for example in Colab, first run `%pip install "delfjax[notebooks] @ git+URL"` with the URL of the
# repository.
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017, Section 4.4.

# %%
from ipywidgets import FloatSlider, IntSlider, interact

import delfjax as dx
from benchmarks import scale_study
from delfjax.provenance import RESULTS
from notebooks import exercises, lesson

# %%
IMAGES, FEATURES = 1_000_000, scale_study.FEATURES  # a billion descriptors
FITTED_FROM = 10_000  # descriptors; below, the time hardly depends on their number
SHARD = 250_000  # descriptors of a shard in the plan
MEMORY, PRICE = 64, 0.10  # GB and price per hour of a machine; assumed
BUDGET = 8.0  # GB for the billion; assumed

# %% [markdown]
# ## What is measured
#
# Each kind of index is built at each size that the machine can hold. It then searches the 60 nearest neighbors of
# 1,000 descriptors, about as many as one photo has. The query photos are not in the database.
# Limitation: the tables were measured with delfjax 0.1.0. [Speed](../docs/speed.md) has newer numbers, which differ by up to 20%.
#
# - `exact` compares each query with every descriptor.
# - `nndescent` is the neighbor graph of this library. `sharded` is several such graphs.
# - `pq` is product quantization, by faiss. It cuts a descriptor into 10 parts, and stores for each part the number of the
#   nearest of 32 typical parts: 50 bits, as in the paper. These bits are the *code* of the descriptor. A *list* holds the codes
#   of similar descriptors, and a search reads only the nearest lists. The trees of the paper in each list are missing.
# - `faiss HNSW` is the neighbor graph of another library.
#
# Graphs trade time for recall, the share of the true 60 neighbors that they find. Their time is given at a recall
# of 95%. Where a graph finds more even at its lowest effort, or less at its highest, its time is given there; the
# column recall@60 shows it.

# %%
UNITS = {
    "bytes in memory": "bytes per descriptor in memory",
    "bytes on disk": "bytes per descriptor on disk",
}
measured = dx.provenance.read_result(RESULTS / "bench_costs.json")
sizes = measured["config"]["sizes"]
rows = [{UNITS.get(name, name): row[name] for name in row} for row in measured["rows"]]
kinds = {row["index"]: [each for each in rows if each["index"] == row["index"]] for row in rows}
print(measured["hardware"], measured["versions"], f"sizes {sizes[0]:,} to {sizes[-1]:,}", sep="\n")

# %% [markdown]
# The larger databases also hold synthetic descriptors. A synthetic descriptor is a real one plus half the difference of
# two of its neighbors. To check them, we enlarge half of the photos by synthetic descriptors. The last line of the list below
# (that half, enlarged) should resemble the first line (all photos).

# %%
print(f"{measured['real descriptors']:,} real descriptors")
for name, statistics in measured.get("synthetic descriptors", {}).items():
    print(name, *(f"{what} {value}" for what, value in statistics.items()), sep="; ")

# %% [markdown]
# ## Cost against size
#
# A *power law* describes how the cost $c$ grows with the number $n$ of descriptors:
#
# $$c = a\,n^b \quad\Longleftrightarrow\quad \log c = \log a + b \log n$$
#
# On logarithmic axes it is a straight line with the slope $b$. With $b = 1$, the cost doubles when the database
# doubles. With $b = 0.25$, it grows only by a factor of 1.2. The line is fitted by least squares:

# %%
lesson.source("benchmarks.scale_study.fit_power_law")

# %% [markdown]
# Points are measurements. A dashed line extends them to a billion. It is fitted to the sizes from `FITTED_FROM` on. The
# band is the interval that contains a new measurement in 95% of cases, if the law holds. Kinds with fewer than four such
# sizes have no line.

# %%
COSTS = {"build s": "seconds to build", "ms per 1,000 queries": "milliseconds per query photo"}
curves = scale_study.cost_curves(rows, COSTS, smallest=FITTED_FROM)
curves.save("figures/scale_costs.png")
curves

# %% [markdown]
# *Building a graph is slow, but its search time hardly grows; the time of exact search grows with the size.*
#
# Limitation: a dashed line does not show that such an index can be built. The machine lacks the memory.

# %%
for name, found in kinds.items():
    fitted = [row for row in found if row["descriptors"] >= FITTED_FROM]
    for column in COSTS if len(fitted) >= scale_study.MIN_SIZES else ():
        points = [(row["descriptors"], row[column]) for row in fitted]
        law = scale_study.fit_power_law(*zip(*points, strict=True))
        print(f"{name:12}{COSTS[column]:30} grow as n^{law.exponent:.2f}, {law.count} sizes")

# %% [markdown]
# ## All kinds in one table
#
# The first table is at the largest size that all kinds reach. The second is at the largest size of each kind.

# %%
COLUMNS = ["index", "descriptors", "build s", "ms per 1,000 queries", "recall@60", *UNITS.values()]
common = max(set.intersection(*({row["descriptors"] for row in found} for found in kinds.values())))
scale_study.measurement_table([row for row in rows if row["descriptors"] == common], COLUMNS)

# %%
scale_study.measurement_table([found[-1] for found in kinds.values()], COLUMNS)

# %% [markdown]
# *Codes (`pq`) need the least memory and find the fewest true neighbors. A single graph finds 95% of them a hundred times
# faster than exact search at a million descriptors.*
#
# The next table compares the library with hnswlib, pynndescent and faiss at a million descriptors. All times are
# at the same recall. Limitation: this run was on a faster machine. Compare numbers only within one table.

# %%
path = RESULTS / "bench_scale.json"
COLUMNS = ["index", "build s", "ms per 1,000 queries", "recall@60"]
COLUMNS += ["MB on disk", "MB in memory", "cold start s"]
compared = dx.provenance.read_result(path)["rows"] if path.exists() else []
scale_study.measurement_table(compared, COLUMNS) if compared else "run: python -m benchmarks scale"

# %% [markdown]
# ## Bytes of a photo
#
# A photo has 1,000 features of 40 dimensions. The feature store keeps them on disk in half precision, 2 bytes per
# number. An index keeps them in memory, 4 bytes per number. The graph also keeps up to 24 edges per feature, with 4
# bytes each. The codes of the paper take 50 bits per descriptor.
#
# **Exercise 1.** How many bytes does a photo take in the graph?


# %%
def graph_bytes(features, dimensions, edges):
    """Return the bytes of the descriptors and edges of a photo."""
    ...


exercises.check_graph_bytes(graph_bytes)


# %% tags=["solution"] jupyter={"source_hidden": true}
def graph_bytes(features, dimensions, edges):
    """Count 4 bytes for each number and for each edge."""
    return features * (4 * dimensions + 4 * edges)


exercises.check_graph_bytes(graph_bytes)

# %%
names = {"nndescent": "graph with 24 edges", "exact": "exact", "pq": "codes and row numbers"}
bars = {"feature store": scale_study.store_bytes()}
bars |= {name: scale_study.index_bytes(kind) for kind, name in names.items()}
bars["the paper's codes alone"] = scale_study.index_bytes("paper")
scale_study.byte_bars(bars, budget=(f"{BUDGET:g} GB for {IMAGES:,} images", BUDGET * 1e9 / IMAGES))

# %% [markdown]
# *A graph takes forty times the memory of the paper's codes.*
#
# Limitation: the paper does not tell the size of the rest of its index, such as the number of the photo of each code, and the trees.
# The last bar leaves it out. The dotted line is an assumed budget of 8 GB for the billion descriptors.

# %%
for name, parts in bars.items():
    print(f"{name:24}{sum(parts.values()) * IMAGES / 1e9:8.2f} GB for {IMAGES:,} images")

# %% [markdown]
# ## Costs that do not depend on the size
#
# These are the seconds of one photo, or of one query.

# %%
scale_study.measurement_table(measured["stages"], ["stage", "seconds", "measured"])

# %% [markdown]
# *Extraction is by far the slowest step, but each photo needs it only once.*
#
# ## A plan for a billion descriptors
#
# One graph of a billion descriptors would be an extrapolation. Four thousand graphs of 250,000 are not: that size
# lies between the measured ones, and shards are independent. The next cell checks that shards cost as much as
# one shard times their number. A ratio of 1 confirms it.

# %%
graph = kinds["nndescent"]
size = min(SHARD, graph[-1]["descriptors"])
build, query = (scale_study.interpolate_cost(size, graph, column) for column in COSTS)
for row in kinds.get("sharded", ()):
    shards = row["descriptors"] / size
    build_ratio = row["build s"] / (build * shards)
    query_ratio = row["ms per 1,000 queries"] / (query * shards)
    print(f"{row['descriptors']:,} in shards, measured over predicted: ", end="")
    print(f"build {build_ratio:.2f}, queries {query_ratio:.2f}")

# %% [markdown]
# Building costs what the sum predicts. Queries take up to 1.7 times as long, so read the plan as an estimate.
#
# **Exercise 2.** How many machines hold an index? Shards may use 80% of the memory of a machine.


# %%
def count_machines(descriptors, bytes_each, gigabytes):
    """Return the smallest number of machines with this many gigabytes (1 GB is 1e9 bytes)."""
    ...


exercises.check_machines(count_machines)


# %% tags=["solution"] jupyter={"source_hidden": true}
def count_machines(descriptors, bytes_each, gigabytes):
    """Divide and round up: -(-a // b) is the smallest whole number that is at least a / b."""
    return int(-(-descriptors * bytes_each // (0.8 * gigabytes * 1e9)))


exercises.check_machines(count_machines)

# %% [markdown]
# The plan assumes machines as fast as the measured one, which hold all shards in memory. It takes as few machines
# as possible. They also extract the features of a million images at 640 pixels, about 2 s each;
# at the default 1024 pixels it is more than twice as long. A query searches the shards of a machine one
# after another, on all machines in parallel. The price is an assumption; change it.

# %%
in_memory = UNITS["bytes in memory"]
shard_costs = {
    "graph": scale_study.ShardCost(
        descriptors=size, build=build, query=query / 1000, memory=graph[-1][in_memory]
    ),
}
for name in ("pq", "exact"):
    row = kinds[name][-1]
    shard_costs[name] = scale_study.ShardCost(
        descriptors=row["descriptors"],
        build=row["build s"],
        query=row["ms per 1,000 queries"] / 1000,
        memory=row[in_memory],
    )


# %%
collection = scale_study.Collection(images=IMAGES, extraction=measured["stages"][0]["seconds"])


def show_plans(machines: int = 1, memory: float = MEMORY, price: float = PRICE):
    machine = {"machines": machines, "memory": memory, "price": price}
    plans = {
        f"{name}, in shards": scale_study.make_plan(collection, shard, **machine)
        for name, shard in shard_costs.items()
    }
    remark = f"Assumed: machines with {memory} GB, {price} per hour."
    return scale_study.plan_table(plans, remark=remark)


show_plans()

# %% [markdown]
# *Extraction takes most of the hours. A graph needs the most memory. Codes need the least memory and find the fewest
# true neighbors.*
#
# A query photo searches all shards, so the graph is faster than exact search only within each shard. Try other machines.
# The sliders need a running kernel; a saved page shows the first choice alone.

# %%
memory = IntSlider(MEMORY, min=16, max=512, step=16, description="GB each")
price = FloatSlider(value=PRICE, min=0.01, max=2, step=0.01, description="price")
_ = interact(show_plans, machines=IntSlider(20, min=1, max=400), memory=memory, price=price)

# %% [markdown]
# ## Checks
#
# These assertions fail if a claim of this notebook no longer holds.

# %%
last = {name: found[-1] for name, found in kinds.items()}
at_common = {row["index"]: row for row in rows if row["descriptors"] == common}
counted = sum(scale_study.index_bytes("nndescent", features=1).values())
assert abs(last["nndescent"][in_memory] / counted - 1) < 0.02
assert min(at_common, key=lambda name: at_common[name][in_memory]) == "pq"
assert min(at_common, key=lambda name: at_common[name]["recall@60"]) == "pq"
assert min(row["recall@60"] for row in kinds["exact"]) > 0.999
assert min(row["recall@60"] for row in graph) > 0.9
plan = scale_study.make_plan(collection, shard_costs["graph"], memory=MEMORY, price=PRICE)
assert plan.extraction > plan.building
assert plan.machines == count_machines(1e9, graph[-1][in_memory], MEMORY)
assert sum(scale_study.index_bytes("paper").values()) * IMAGES / 1e9 == 6.25

# %% [markdown]
# ## Summary
#
# - Exact search grows with the database, $n^{0.94}$ here. The search time of a graph hardly grows, $n^{0.25}$.
# - A graph takes 256 bytes per descriptor in memory, and codes take 15. At a million descriptors, codes find 62% of the
#   true neighbors.
# - Shards of a measured size make a plan for a billion descriptors without extrapolation.
#
# ## Differences from the paper
#
# - The paper searches codes by trees within each list of an inverted file, and did not release that code. Here all
#   codes of a list are compared.
# - The main index here is a graph, which keeps the descriptors.
# - Databases beyond the real descriptors hold synthetic ones. Nothing beyond ten million was built.
#
# **More to try.** Set `SHARD` to 1,000,000: how do larger shards change the search and the hours? Then look at
# [the tables of the paper](07_tables.ipynb), which show the mAP of 500 features per image: they would halve all bytes
# above.
