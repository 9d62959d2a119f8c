# %% [markdown]
# # Tables and figures: the paper's results beside ours
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 5: Table 1 and Figs. 1, 4 and 5. Notebook 01 has Figs. 2 and 3, notebook 03 has Fig. 9, and notebook 04
# has Figs. 6 to 8.
#
# **You will see** the paper's numbers beside ours, and a verdict on each of the paper's claims on the rendered
# landmarks. You will also see the mAP with fewer features, fewer dimensions, fewer bits, and an index that
# misses some neighbors.
#
# **Cost:** half a minute. The notebook reads results from `data/results`. `delfjax reproduce` makes them: in
# minutes where features are cached, otherwise in about an hour on two CPU cores.
#
# You can make the same tables for your own photos, with one sub-folder per class. FOLDER is an absolute path
# outside this repository:
#
# 1. `delfjax reproduce --labeled PHOTOS --results FOLDER`
# 2. `DELFJAX_BENCHMARK=labeled DELFJAX_RESULTS=FOLDER python notebooks/execute.py 06 --out FOLDER`

# %%
import os

import delfjax as dx
from delfjax.evaluation.significance import paired_difference
from delfjax.paper import claims, figures, runs, tables, values
from notebooks import paper_diagrams

# %%
PROFILE = runs.PROFILES[
    os.environ.get("DELFJAX_PROFILE", "embedded")
]  # or "paper": the paper's sizes
RESULTS = dx.provenance.RESULTS / os.environ.get("DELFJAX_RESULTS", "") / PROFILE.folder
BENCHMARK = os.environ.get("DELFJAX_BENCHMARK", runs.HEADLINE)

# %% [markdown]
# ## The system and its training (Figs. 1 and 4)
#
# Both diagrams take their numbers from the code that extracts and trains, so they cannot disagree with it.
#
# **See:** a photo of 1024 x 768 pixels gives more than 24,000 descriptors. Attention selects the best 1,000.

# %%
system = paper_diagrams.system_diagram((768, 1024))
system.save("figures/tables_fig1.png")
system

# %% [markdown]
# **See:** step 1 trains conv4 and a classifier; step 2 trains only the attention head and a new classifier.
# These are the settings of the models in this repository.

# %%
landmarks = len(set(dx.datasets.rendered.training_photos().labels))
paper_diagrams.training_diagram(landmarks)

# %% [markdown]
# ## Table 1
#
# The numbers are mAP in percent. The paper's are for Oxford5k and Paris6k, ours for the benchmarks that were
# run. `make reproduce DATA=FOLDER` adds a column for every real benchmark in a folder.
#
# Limitation: the two halves of the table are about different photos. Compare only numbers of one column. The
# paper's global descriptors (DIR, siaMAC) were trained for retrieval; the global descriptors here were not.

# %%
tables.compare_table1(values.table1(), runs.results_by_row(RESULTS))

# %% [markdown]
# Some models were trained with three seeds. Their number is the mean, and the note names three files. All numbers on
# `rendered` are of seed 0. The next list gives the results of seed 0, whose models are in the repository, and the
# command that makes each of them.

# %%
for run in runs.RUNS.values():
    for result in runs.load_results(run.name, RESULTS, BENCHMARK, seeds=False):
        if run.headline:
            print(f"{run.row:30}{result['value']:6.1f}   {result['command']}")

# %% [markdown]
# ## Precision and recall with distractor queries (Fig. 5)
#
# A distractor query shows a place that is not in the database, so all its results are wrong. The curves count the
# results of all queries, best score first. A good score must therefore be comparable between queries.
#
# Pale lines are the paper's curves, read off its figure. Limitation: the paper and this notebook use different
# photos and numbers of correct results. Compare only the order of the curves.
#
# **See:** the three curves with fine-tuning or attention lie together, far above DELF-noFT and RootSIFT. In the
# paper, DELF+FT+ATT is the highest.

# %%
methods = [run.name for run in runs.RUNS.values() if run.kind == "method"][::-1]
names = [*methods, "rootsift", "ft_rmac", "ft_rmac_qe"]
ours = {
    runs.title(name): result
    for name in names
    for result in runs.load_results(name, RESULTS, BENCHMARK, seeds=False)
}
curves = {row: result for row, result in ours.items() if "curve" in result}

# %%
fig5 = figures.fig5(curves, values.fig5(), heading=f"{BENCHMARK}, here")
fig5.save("figures/tables_fig5.png")
fig5

# %% [markdown]
# The mean height of a curve summarizes it, with a 95% interval over queries.

# %%
for row, result in sorted(curves.items(), key=lambda each: -each[1]["curve"]["mean"]):
    low, high = result["curve"]["interval"]
    print(f"{row:26} mean height {result['curve']['mean']:5.1f}  [{low:.1f}, {high:.1f}]")

# %% [markdown]
# ## Fewer features, dimensions and bits, and an index that misses neighbors
#
# The next figure varies one number at a time. All four panels use the same extracted features.
#
# - **Features:** the best of a photo.
# - **Dimensions:** the first of the PCA, normalized again.
# - **Recall:** the share of the true 60 nearest neighbors that the index finds. A graph with few edges misses
#   some. These runs have 200 features per photo.
# - **Bits:** the size of a descriptor. Codes are of product quantization, with 4, 10 or 20 sub-vectors of 5 or 8
#   bits; the paper has 10 x 5 = 50 bits. A search compares all codes, so only the compression loses neighbors. The
#   largest number is without compression: 40 dimensions of 16 bits.
#
# **See:** more features help most. Half the dimensions and short codes lose little; the shortest codes even gain here.

# %%
SWEEPS = {
    "features per photo": "features",
    "dimensions": "dimensions",
    "recall of the index (%)": "recall",
    "bits per descriptor": "bits",
}
sweeps = {label: runs.sweep(kind, RESULTS, BENCHMARK) for label, kind in SWEEPS.items()}
for label, kind in SWEEPS.items():
    if not sweeps[label]:
        print(f"{label}: not run yet. Run: {runs.command(kind)}")

# %%
found = {label: results for label, results in sweeps.items() if results}
swept = figures.sweeps(found) if found else None
if swept is not None:
    swept.save("figures/tables_sweeps.png")
swept

# %% [markdown]
# The next list compares each number with the largest one, by the difference in mAP over the same queries and its 95%
# interval.

# %%
for label, results in found.items():
    largest = max(results)
    for number in sorted(results)[:-1]:
        gain = paired_difference([results[number]], [results[largest]])
        shown = f"{gain.value:+5.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"
        print(f"{number:6.4g} {label:24} against {largest:.4g}: {shown}")

# %% [markdown]
# ## Keypoints on the landmark, and results
#
# The rendered set knows which pixels show the landmark. Each point in the figure is one landmark: the share of the
# best 100 keypoints of its photos that lie on it, against the average precision of its queries. The claims below
# test whether one predicts the other.
#
# The shares are over all good and ok photos of the evaluation set. Notebook 03 uses a sample of them.
#
# **See:** attention or fine-tuning doubles the share of keypoints on landmarks; DELF-noFT is near chance, the
# share of the photos' area that landmarks cover.

# %%
rows = [row for row in map(runs.title, methods) if "on_landmark" in ours.get(row, {})]
figures.landmarks({row: ours[row] for row in rows}) if rows else None

# %%
for row in rows:
    share = ours[row]["on_landmark"]
    print(
        f"{row:16} {share['value']:5.1f} % on landmarks {share['interval']}, chance {share['chance']}"
    )

# %% [markdown]
# ## The paper's claims, tested here
#
# A claim rests on one or more differences between results, each with a 95% interval over queries. The claim has
# **passed** if all intervals lie above 0. It has **failed** if one lies below 0. Otherwise it is **undecided**: the
# queries are too few.
#
# The claims marked (Fig. 5) and the claims on distractor queries and on fusion are the paper's. The paper fuses with
# query expansion; here it is fused without. The claims marked (mAP) and all others are ours. A claim that failed has
# another line, with numbers that may explain it, averaged over seeds.
#
# Limitation: a claim about training holds for the seeds that were trained.

# %%
decided = claims.decide_all(RESULTS, BENCHMARK)
claims.write_claims(decided, RESULTS / claims.FILE)
print(claims.format_claims(decided))

# %%
verdicts = [claim.evidence["verdict"] for claim in decided]
print(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))

# %% [markdown]
# ## Check the claims of this notebook

# %%
assert claims.read_claims(RESULTS / claims.FILE) == decided
if BENCHMARK == runs.HEADLINE:
    assert len(curves) == len(names)
    assert ours["DELF+FT+ATT"]["value"] > ours["DELF-noFT"]["value"]
    assert ours["DELF-noFT"]["value"] > ours["RootSIFT"]["value"]

# %% [markdown]
# **Differences from the paper.** The photos are rendered, of one small world, and the training set is small. DIR
# and CONGAS are unavailable; R-MAC and RootSIFT replace them. A claim that fails here fails on these photos and
# with this training. It says nothing about the paper's photos.
#
# **Two things to try.** Put Oxford5k into a folder (`delfjax data fetch oxford5k --root FOLDER`) and run
# `make reproduce DATA=FOLDER PROFILE=paper`. Then leave out the distractor places: does the order of the methods
# change with `claims.decide_all(RESULTS, "rendered")`?
