# %% [markdown]
# # Tables and figures: the paper's beside ours
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 5: Table 1, Figs. 1, 4 and 5, and where the others are. **You will see** the paper's numbers beside ours,
# what each of its claims comes to on the rendered landmarks, and what can be had with fewer features, dimensions
# and bits, and by an index that misses some neighbors.
# **Cost:** half a minute. Everything is read from `data/results`, which `delfjax reproduce` fills; that takes
# minutes where features are cached, and otherwise about an hour on two CPU cores.
#
# Photos of your own, in one sub-folder a class, get the same tables, outside this repository:
# `delfjax reproduce --labeled PHOTOS --results FOLDER`, FOLDER an absolute path, then
# `DELFJAX_BENCHMARK=labeled DELFJAX_RESULTS=FOLDER python notebooks/execute.py 06 --out FOLDER`.
# %%
import os
from pathlib import Path

from delfjax import paper_figures, plots, provenance
from delfjax.datasets import rendered
from delfjax.evaluation import significance
from delfjax.paper import claims, figures, runs, tables, values
from delfjax.paper.runs import HEADLINE, PROFILES, RUNS
from delfjax.training import small_config

# %%
PROFILE = os.environ.get("DELFJAX_PROFILE", "embedded")  # "paper": the paper's sizes
RESULTS = Path(os.environ.get("DELFJAX_RESULTS", "../data/results")) / PROFILES[PROFILE].folder
BENCHMARK = os.environ.get("DELFJAX_BENCHMARK", HEADLINE)
FIGURES = RESULTS / "figures" if "DELFJAX_RESULTS" in os.environ else Path("figures")
FIGURES.mkdir(exist_ok=True)
print(provenance.versions(), provenance.hardware())

# %% [markdown]
# ## What is computed (Figs. 1 and 4)
#
# Every number in these two diagrams is traced from the modules that extraction and training run; none is
# typed in. The first is of a photo of 1024 x 768, the second of the settings that trained this repository's models.

# %%
system = plots.system_diagram(plots.trace_extraction((768, 1024)))
system.save(FIGURES / "tables_fig1.png")
system

# %%
landmarks = len(set(rendered.training_photos().labels))
steps = [plots.trace_training(small_config(step), landmarks) for step in ("finetune", "attention")]
plots.training_diagram(*steps)

# %% [markdown]
# ## Every figure of the paper: where ours is
#
# The others are made by the notebooks beside this one; so small, they only tell which is which.

# %%
paper_figures.Gallery(folder=Path("figures"))

# %% [markdown]
# ## Table 1
#
# The paper's numbers are of Oxford5k and Paris6k, ours of what could be run: they are *not of the same
# photos*, and do not compare across the two halves. `make reproduce DATA=FOLDER` adds a column for every real
# benchmark that is in a folder. Global descriptors here were never trained for retrieval, as DIR and siaMAC were.

# %%
tables.table1(values.table1(), runs.by_row(RESULTS))

# %% [markdown]
# Where three seeds of training were run, a number is their mean (its note names three files); `rendered` is of seed 0
# alone. The commands, and what seed 0, the committed checkpoints, should give:

# %%
for run in RUNS.values():
    for path in runs.files(run.name, RESULTS, BENCHMARK, seeds=False) if run.headline else ():
        found = provenance.read_result(path)
        print(f"{run.row:30}{found['value']:6.1f}   {found['command']}")

# %% [markdown]
# ## Precision and recall with distractor queries (Fig. 5)
#
# Queries of places that the database does not show can only lower precision: here a score must tell a right
# result from a wrong one across queries, not only within one. Pale: the paper's curves, read off its figure; the two
# sets have other photos and other numbers of right results, so that only the order of curves may be compared.

# %%
methods = [run.name for run in RUNS.values() if run.kind == "method"][::-1]
shown = [*methods, "rootsift", "ft_rmac", "ft_rmac_qe"]
paths = {RUNS[name].row: runs.files(name, RESULTS, BENCHMARK, seeds=False) for name in shown}
ours = {row: provenance.read_result(path) for row, found in paths.items() for path in found}
curves = {row: found for row, found in ours.items() if "curve" in found}

# %%
fifth = figures.fig5(curves, values.fig5(), where=f"{BENCHMARK}, here")
fifth.save(FIGURES / "tables_fig5.png")
fifth

# %%
for row, found in sorted(curves.items(), key=lambda each: -each[1]["curve"]["mean"]):
    low, high = found["curve"]["interval"]
    print(f"{row:26} mean height {found['curve']['mean']:5.1f}  [{low:.1f}, {high:.1f}]")

# %% [markdown]
# ## With fewer features, dimensions and bits, and by an index that misses some
#
# Nothing is extracted anew for any of these. Features are taken best first. The axes of a PCA are nested: a
# descriptor cut short and normalized again is that of a smaller PCA. An index *misses* neighbors where its graph
# has few edges (200 features a photo, as of 100 all are compared anyway); recall is its share of the true 60 nearest.
# *Bits* are those of product quantization, as the paper has it: 4, 10 and 20 sub-vectors of 5 or 8 bits, 10 x 5 = 50
# being the paper's; every inverted list is read, so that only codes lose, and the list that a descriptor is in is
# not counted, as in the paper. The largest number is the store's own, 40 numbers of 16 bits each.

# %%
counted = {
    "features of a photo": "features",
    "dimensions": "dimensions",
    "recall of the index, %": "recall",
    "bits of a descriptor": "bits",
}
swept = {words: runs.sweep(kind, RESULTS, BENCHMARK) for words, kind in counted.items()}
swept = {words: found for words, found in swept.items() if found}

# %%
for words, kind in counted.items():
    if words not in swept:
        print(f"not run yet, {words}:\n  {runs.command(kind)}")

# %%
drawn = figures.sweeps(swept) if swept else None
if drawn is not None:
    drawn.save(FIGURES / "tables_sweeps.png")
drawn

# %% [markdown]
# What each number of them costs against the largest, query by query:

# %%
for words, found in swept.items():
    for number in sorted(found)[:-1]:
        gain = significance.paired_difference([found[number]], [found[max(found)]])
        shown_gain = f"{gain.value:+5.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"
        print(f"{number:6.4g} {words:22} against {max(found):.4g}: {shown_gain}")

# %% [markdown]
# ## Keypoints on the landmark, and landmarks found
#
# A point is a landmark: how many of the best 100 keypoints of its photos lie on it, and how well its queries
# do. Only a rendered set can tell. Whether the one predicts the other is among the claims below: a rank correlation,
# with an interval over landmarks, and one over queries. Shares are over all good and ok photos of the evaluation set;
# notebook 03 takes a sample of them.

# %%
rows = [row for row in map(runs.title, methods) if "on_landmark" in ours.get(row, {})]
figures.landmarks({row: ours[row] for row in rows}) if rows else None

# %%
for row in rows:
    on = ours[row]["on_landmark"]
    print(f"{row:16} {on['value']:5.1f} % on the landmark {on['interval']}, chance {on['chance']}")

# %% [markdown]
# ## What the paper claims, decided here
#
# A claim has *passed* if the 95% interval of every difference that it rests on, over queries, lies above 0; it has
# *failed* if one lies below; else it is *undecided*: these queries are too few to tell. A claim about
# training rests on the seeds that were trained, and says nothing of others. Claims marked
# (Fig. 5), and those on distractor queries and on fusion, are the paper's, the last without its query expansion; their
# (mAP) twins and all others are ours. Under a claim that failed, one more line gives numbers that may tell why, seeds
# averaged.

# %%
decided = claims.decide_all(RESULTS, BENCHMARK)
claims.write(decided, RESULTS / provenance.CLAIMS)
print(claims.told(decided))

# %%
by_verdict = {each.evidence["verdict"]: [] for each in decided}
for each in decided:
    by_verdict[each.evidence["verdict"]].append(each.claim)
print(", ".join(f"{len(found)} {verdict}" for verdict, found in by_verdict.items()))

# %% [markdown]
# ## What was claimed, checked

# %%
assert claims.read(RESULTS / provenance.CLAIMS) == decided
if BENCHMARK == HEADLINE:
    assert len(curves) == len(shown), "every curve was run"
    assert ours["DELF+FT+ATT"]["value"] > ours["DELF-noFT"]["value"], "training helps"
    assert ours["DELF-noFT"]["value"] > ours["RootSIFT"]["value"], "and learned features do"

# %% [markdown]
# **What differs from the paper.** Photos are rendered, of one small world; the training set is small; DIR
# and CONGAS are not to be had, and R-MAC and RootSIFT take their places. A claim that fails here has failed
# on these photos, with this training: it is no verdict on the paper's.
#
# **Two things to try.** Put Oxford5k into a folder (`delfjax data fetch oxford5k --root FOLDER`) and run
# `make reproduce DATA=FOLDER PROFILE=paper`. And take the places away: does anything change in the order of
# methods if the database is `rendered` alone (`paper_claims.decide_all(RESULTS, "rendered")`)?
