# %% [markdown]
# # Scale: what ten million descriptors cost, and what a billion would
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 4.4. **You will see** what each kind of index costs as a collection grows, measured on one machine; the
# bytes of an image, beside the paper's code; and a plan for a billion descriptors: shards, machines, hours, money.
# **Cost:** seconds. Everything is read from `data/results`; `python -m benchmarks costs` measures it again, and
# `python -m benchmarks scale` the table at a million.

# %%
from functools import partial
from pathlib import Path

from ipywidgets import FloatSlider, IntSlider, interact

from benchmarks import scale_costs, scale_plots
from benchmarks.scale_plan import Machine, ShardCost, beside, plan, told
from delfjax import provenance

# %%
RESULTS, FIGURES = Path("../data/results"), Path("figures")
IMAGES, FEATURES = 1_000_000, 1000  # a billion descriptors
FITTED_FROM = 10_000  # descriptors: of fewer, the time does not depend on how many
SHARD = 250_000  # descriptors of a graph in the plan
MEMORY, PRICE = 64, 0.10  # GB of a machine, and money for an hour: assumptions, of no vendor
YARDSTICK = 8.0  # GB for the billion

# %%
measured = provenance.read_result(RESULTS / "bench_costs.json")
rows, sizes = measured["rows"], measured["config"]["sizes"]
kinds = {row["index"]: [each for each in rows if each["index"] == row["index"]] for row in rows}
print(measured["hardware"], measured["versions"], f"sizes {sizes[0]:,} to {sizes[-1]:,}", sep="\n")

# %% [markdown]
# ## What is measured
#
# Each kind of index, at each size that it can bear on this machine, is asked the 1,000 descriptors of held-out
# photos for 60 neighbors each. `exact` compares with everything. `nndescent` is this project's graph, `sharded` is
# several of them, `codes` are the paper's 50 bits (by faiss, without the paper's trees in each cell), and faiss' HNSW
# is the peer. A search that can try harder is timed where it finds 95% of the true neighbors; if it finds more at
# its least effort, or fewer at its greatest, it is timed there, and the column recall@60 shows it.
#
# There are real descriptors for the smaller sizes. Beyond them each invented one is a real one, moved by half the
# difference of two of its neighbors. How alike they are, as descriptors of other photos see them: half of the
# photos, doubled so, should look like all photos.

# %%
likeness = measured.get("likeness of the invented ones", {})
print(f"{measured['real descriptors']:,} real descriptors")
for name, seen in likeness.items():
    print(name, *(f"{what} {value}" for what, value in seen.items()), sep="; ")

# %% [markdown]
# ## Cost against size
#
# Points were measured. Dashed: a power law through those from `FITTED_FROM` on, $c = a\,n^b$, drawn to a billion, and
# the band in which one more measurement would lie in 95 of 100 cases, *if this were the law*; of fewer than four
# sizes there is none. It is no evidence that such an index could be built: this machine has not the memory.

# %%
shown = {"build s": "seconds to build", "ms per 1,000 queries": "milliseconds of a photo's queries"}
curves = scale_plots.cost_curves(rows, shown, least=FITTED_FROM)
curves.save(FIGURES / "scale_costs.png")
curves

# %%
for name, found in kinds.items():
    fitted = [row for row in found if row["descriptors"] >= FITTED_FROM]
    for column in shown if len(fitted) >= scale_plots.FEWEST else ():
        law = scale_costs.fit(
            [row["descriptors"] for row in fitted], [row[column] for row in fitted]
        )
        print(f"{name:12}{shown[column]:35} grow as n^{law.exponent:.2f}, {law.count} sizes")

# %% [markdown]
# ## Side by side
#
# At the largest size that all kinds were tried at, and at the largest of each:

# %%
columns = ["index", "descriptors", "build s", "ms per 1,000 queries", "recall@60"]
columns += ["bytes in memory", "bytes on disk"]
common = max(set.intersection(*({row["descriptors"] for row in found} for found in kinds.values())))
beside([row for row in rows if row["descriptors"] == common], columns)

# %%
beside([found[-1] for found in kinds.values()], columns)

# %% [markdown]
# At a million descriptors, beside hnswlib, pynndescent and faiss, all timed in turn at one recall. This is another
# run, on a faster machine, as the row of exact search tells: compare within a table.

# %%
million = RESULTS / "bench_scale.json"
columns = ["index", "build s", "ms per 1,000 queries", "recall@60"]
columns += ["MB on disk", "MB in memory", "cold start s"]
side = provenance.read_result(million)["rows"] if million.exists() else []
beside(side, columns) if side else "not measured yet: python -m benchmarks scale"

# %% [markdown]
# ## Bytes of an image
#
# Of 1,000 features of 40 dimensions: what the store keeps on disk, in half precision; what an index keeps in memory;
# and the paper's code, 50 bits a descriptor, packed. What else the paper's index keeps (which image a code is of,
# where in it, the trees) we have not read, and leave out. The line is a budget of 8 GB for the billion: a yardstick,
# and no number that we found in a source.

# %%
names = {"nndescent": "graph of 24 edges", "exact": "exact", "codes": "codes, row numbers"}
stacks = {"features in the store": scale_costs.store_bytes(FEATURES)}
stacks |= {words: scale_costs.index_bytes(kind, FEATURES) for kind, words in names.items()}
stacks["the paper's code alone"] = scale_costs.index_bytes("paper", FEATURES)
budget = (f"{YARDSTICK:g} GB for {IMAGES:,} images", YARDSTICK * 1e9 / IMAGES)
scale_plots.bytes_bars(stacks, yardstick=budget)

# %%
for words, stack in stacks.items():
    print(f"{words:24}{sum(stack.values()) * IMAGES / 1e9:8.2f} GB for {IMAGES:,} images")

# %% [markdown]
# ## What does not depend on the size

# %%
stages = measured["stages"]
beside(stages, ["stage", "seconds", "measured"])

# %% [markdown]
# ## A billion, on paper
#
# A graph of a billion is extrapolation; four thousand graphs of 250,000 are not: their size lies between those that
# were measured, and none needs anything of the others. First, whether shards cost what one of them costs, times their
# number (where more than one was tried):

# %%
graph = kinds["nndescent"]
size = min(SHARD, graph[-1]["descriptors"])
columns_of = {column: [row[column] for row in graph] for column in ("descriptors", *shown)}
build, ask = (scale_costs.between(size, columns_of["descriptors"], columns_of[c]) for c in shown)
for row in kinds.get("sharded", ()):
    times = row["descriptors"] / size
    print(f"{row['descriptors']:,} in shards, measured over predicted:", end=" ")
    print(f"build {row['build s'] / build / times:.2f}", end=", ")
    print(f"queries {row['ms per 1,000 queries'] / ask / times:.2f}")

# %% [markdown]
# Then the plan. Machines are as fast as the one that was measured and hold the index in memory; they are as few as
# that takes, or more; the features of a million images, of the size above, are extracted on the same machines. The
# price is an assumption: change it. A search asks all shards of a machine in turn, all machines at once.

# %%
used = {
    "graph, in shards": ShardCost(
        descriptors=size, build=build, query=ask / 1000, each=graph[-1]["bytes in memory"]
    )
}
for name in ("codes", "exact"):
    last = kinds[name][-1]
    used[f"{name}, in shards"] = ShardCost(
        descriptors=last["descriptors"],
        build=last["build s"],
        query=last["ms per 1,000 queries"] / 1000,
        each=last["bytes in memory"],
    )

# %%
extraction = stages[0]["seconds"]
billion = partial(plan, IMAGES * FEATURES, images=IMAGES, extraction=extraction)
machine = Machine(memory=MEMORY, price=PRICE)
plans = {words: billion(shard, machine) for words, shard in used.items()}
told(plans, remarks=[f"Machines of {MEMORY} GB at {PRICE} an hour: assumed."])

# %% [markdown]
# The same with other machines (with a kernel; a saved page shows the first choice alone):


# %%
def planned(machines: int, memory: int, price: float):
    machine = Machine(memory=memory, price=price)
    return told({words: billion(used[words], machine, machines=machines) for words in used})


memory = IntSlider(MEMORY, min=16, max=512, step=16, description="GB each")
price = FloatSlider(value=PRICE, min=0.01, max=2, step=0.01, description="price")
_ = interact(planned, machines=IntSlider(20, min=1, max=400), memory=memory, price=price)

# %% [markdown]
# Extraction, not the index, is most of the hours. The graph buys its recall with memory, some forty times the
# paper's code; and as each photo asks all shards, what a graph saves over exact search is won inside a shard only.
# Codes take the least memory, and find the fewest true neighbors.

# %% [markdown]
# ## What was claimed, checked

# %%
last = {name: found[-1] for name, found in kinds.items()}
at = {row["index"]: row for row in rows if row["descriptors"] == common}
counted = sum(scale_costs.index_bytes("nndescent", 1).values())
assert abs(last["nndescent"]["bytes in memory"] / counted - 1) < 0.02, "bytes are as counted"
assert min(at, key=lambda name: at[name]["bytes in memory"]) == "codes"
assert min(at, key=lambda name: at[name]["recall@60"]) == "codes"
assert min(row["recall@60"] for row in kinds["exact"]) > 0.999
assert min(row["recall@60"] for row in graph) > 0.9, "the graph finds nine of ten at every size"
hours = plans["graph, in shards"]
assert hours.extraction > hours.building, "extraction is most of the hours"
assert sum(scale_costs.index_bytes("paper").values()) * IMAGES / 1e9 == 6.25

# %% [markdown]
# **What differs from the paper.** It searches codes by trees within each cell of an inverted file, and never released
# that; here codes are scanned cell by cell, and the index of choice is a graph, which keeps descriptors as they are.
# Sizes beyond the real descriptors are of invented ones. Nothing beyond ten million was built.
#
# **Two things to try.** Move `SHARD` to 1,000,000: what do larger shards do to a search, and to the hours? And halve
# `FEATURES`: notebook 06 shows what 500 features cost in mAP.
