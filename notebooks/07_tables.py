# %% [markdown]
# # Tables and figures: the paper's results beside ours
#
# **Paper:** Noh et al., *Large-Scale Image Retrieval with Attentive Deep Local Features*, ICCV 2017,
# Section 5: Table 1 and Figs. 1, 4 and 5. [Data](01_data.ipynb) has Figs. 2 and 3, [Attention](04_attention.ipynb) has
# Fig. 9, and [Retrieval](05_retrieval.ipynb) has Figs. 6 to 8.
#
# **What you will learn**
#
# - how a ranking becomes one number, the average precision,
# - how far such a number can be trusted: confidence intervals over landmarks,
# - how precision and recall of all queries together show whether scores are comparable (Eq. 4 and Fig. 5),
# - which claims of the paper hold on our rendered landmarks.
#
# **Prerequisites:** [Attention](04_attention.ipynb) and [Retrieval](05_retrieval.ipynb): features, votes and RANSAC. **Time:** 40
# minutes to read, with two exercises; half a minute to run. The notebook reads results from `data/results`.
# `delfjax reproduce` makes them, in about an hour on two CPU cores.

# %%
import os

import numpy as np

import delfjax as dx
from delfjax.paper import claims, figures, runs, tables, values
from notebooks import exercises, paper_diagrams

# %%
PROFILE = runs.PROFILES[os.environ.get("DELFJAX_PROFILE", "embedded")]  # or "full"
RESULTS = runs.RESULTS / os.environ.get("DELFJAX_RESULTS", "") / PROFILE.folder
BENCHMARK = os.environ.get("DELFJAX_BENCHMARK", PROFILE.benchmark)

# %% [markdown]
# You can make all tables for your own photos, with one sub-folder per class. FOLDER is an absolute path outside this
# repository:
#
# 1. `delfjax reproduce --labeled PHOTOS --results FOLDER`
# 2. `DELFJAX_BENCHMARK=labeled DELFJAX_RESULTS=FOLDER python notebooks/execute.py 07 --out FOLDER`
#
# ## The system and its training (Figs. 1 and 4)
#
# Both diagrams take their numbers from the code that extracts and trains, so they cannot disagree with it.

# %%
system = paper_diagrams.system_diagram((768, 1024))
system

# %% [markdown]
# *A photo of 1024 x 768 pixels gives more than 24,000 descriptors. Attention selects the best 1,000.*

# %%
landmarks = len(set(dx.datasets.rendered.training_photos().labels))
paper_diagrams.training_diagram(landmarks)

# %% [markdown]
# *Step 1 trains conv4 and a classifier. Step 2 trains only the attention head and a new classifier. These are the
# settings of the models in this repository.*
#
# ## Average precision
#
# A query has $n$ correct photos in the database. **Junk** photos, which hardly show the landmark, count neither as
# correct nor as wrong: we remove them from the ranking first. Let $r_j$ be the rank of the $j$-th correct photo. Ranks
# and $j$ count from 0. Just before this photo, the precision is $j / r_j$ (1 if $r_j = 0$). With it, the precision is
# $(j + 1) / (r_j + 1)$. Oxford5k and the paper average both (the trapezoidal rule), and then average over the correct
# photos:
#
# $$\mathrm{AP} = \frac{1}{n} \sum_{j} \frac{1}{2} \left( \frac{j}{r_j} + \frac{j + 1}{r_j + 1} \right)$$
#
# A correct photo that is not in the ranking adds 0. The mean over all queries is the **mAP**. A small example:

# %%
ranking = ["correct", "wrong", "junk", "correct", "wrong", "correct"]
scored = [label for label in ranking if label != "junk"]
ranks = [rank for rank, label in enumerate(scored) if label == "correct"]
before, after = [1, 1 / 2, 2 / 4], [1, 2 / 3, 3 / 5]  # just before and with each correct photo
halves = [(one + other) / 2 for one, other in zip(before, after, strict=True)]
print("ranks without junk:", ranks)
print("trapezoids:", *(f"{half:.3f}" for half in halves), f"  AP = {np.mean(halves):.3f}")

# %%
figure, axes = figures.subplots(7.5, 2.6, 1, 2)
left, right = axes[0]
shades = {"correct": figures.GREEN, "wrong": figures.ORANGE, "junk": "#d5d8dc"}
left.barh(range(len(ranking)), 1, color=[shades[label] for label in ranking])
for place, label in enumerate(ranking):
    left.text(0.5, place, label, ha="center", va="center")
left.set(xticks=[], ylabel="place in the ranking")
left.invert_yaxis()
for j, heights in enumerate(zip(before, after, strict=True)):
    right.fill_between([j / 3, (j + 1) / 3], heights, color=figures.GREEN, alpha=0.3)
    right.plot([j / 3, (j + 1) / 3], heights, color=figures.GREEN, marker="o")
right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.03), ylim=(0, 1.05))
figure

# %% [markdown]
# *Left: a ranking; the junk photo does not count. Right: each correct photo adds one trapezoid, and AP is the area of
# all three.*
#
# **Exercise 1.** Compute the average precision from the ranks (sorted, from 0) of the correct photos that were found,
# and the number $n$ of correct photos.


# %%
def average_precision(ranks, n):
    """Return the average precision, 0 to 1."""
    ...


exercises.check_average_precision(average_precision)


# %% tags=["solution"] jupyter={"source_hidden": true}
def average_precision(ranks, n):
    """Return the average precision, 0 to 1."""
    before = [j / rank if rank else 1.0 for j, rank in enumerate(ranks)]
    after = [(j + 1) / (rank + 1) for j, rank in enumerate(ranks)]
    return (sum(before) + sum(after)) / (2 * n)


exercises.check_average_precision(average_precision)

# %% [markdown]
# ## How far can we trust a mAP?
#
# A benchmark has few landmarks, and other landmarks would give another mAP. Five queries of one landmark are alike,
# so they are not five independent measurements. We therefore treat the *landmarks* as the sample:

# %%
(result,) = runs.load_results("ft_att", RESULTS, BENCHMARK, seeds=False)
groups, precisions = np.array(result["landmarks"]), np.array(result["average_precision"], float)
means = [float(np.nanmean(precisions[groups == group])) for group in np.unique(groups)]
print(f"mAP of DELF+FT+ATT: {result['value']:.1f}; of each landmark:", *map(round, means))
for name, by in {"queries": None, "landmarks": groups}.items():
    low, high = dx.evaluation.significance.bootstrap_interval(precisions, groups=by)
    print(f"95% interval over {name}: [{low:.1f}, {high:.1f}]")

# %% [markdown]
# The interval over landmarks is the right one, and it is wider. If all landmarks have equally many queries, it is the
# t interval of the $C$ means of the landmarks, with mean $m$ and standard deviation $s$:
#
# $$m \pm t \, \frac{s}{\sqrt{C}}$$
#
# $t$ is a quantile of Student's t distribution: 2.23 for $C = 11$, and close to 1.96 for many landmarks.
# `delfjax.evaluation.significance` computes $s / \sqrt{C}$ by a bootstrap that draws landmarks at random. This works
# for other scores, too, such as the curves of Fig. 5. If a method was trained several times, the variance between the
# training runs is added. Two methods are compared by the *difference* on the same landmarks, which varies much less
# than either score.
#
# **Exercise 2.** Compute the t interval. `means` holds one mean per landmark. `np.std(means, ddof=1)` is $s$.


# %%
def landmark_interval(means, t):
    """Return the lower and the upper end of the interval."""
    ...


exercises.check_interval(landmark_interval)


# %% tags=["solution"] jupyter={"source_hidden": true}
def landmark_interval(means, t):
    """Return the lower and the upper end of the interval."""
    margin = t * np.std(means, ddof=1) / np.sqrt(len(means))
    return np.mean(means) - margin, np.mean(means) + margin


exercises.check_interval(landmark_interval)

# %% [markdown]
# ## Table 1
#
# The numbers are mAP in percent. The paper's are for Oxford5k and Paris6k, ours for the benchmarks that were run. Each method
# that verifies photos by RANSAC has a second row, *votes only*: the ranking without verification.
#
# `make reproduce DATA=FOLDER PROFILE=paper` runs all methods on every real benchmark in a folder, with the photo size and the
# number of features of the paper. It writes this notebook with a column for each benchmark to `build/notebooks`. Without
# `PROFILE=paper`, photos have 320 pixels and 100 features: do not compare such numbers with those of the paper.
#
# Limitation: the two halves of the table are about different photos. Compare only numbers of one column. The
# networks of the paper's global descriptors (DIR, siaMAC) were trained for retrieval. Here, no network was: in rows with
# *fine-tuned*, it is the network of step 1, which classifies rendered landmarks. The whitening learns from landmarks, too.

# %%
tables.compare_table1(values.table1(), runs.results_by_row(RESULTS))

# %% [markdown]
# All numbers of the table are those of one training run, whose models are in the repository. Some models were trained several
# times: the next list has the mean over all training runs, their number, and the command that makes the result of the table.

# %%
for run in runs.RUNS.values():
    found = runs.load_results(run.name, RESULTS, BENCHMARK)
    if run.headline and (first := runs.load_results(run.name, RESULTS, BENCHMARK, seeds=False)):
        mean = f"{dx.evaluation.significance.mean_score(found).value:5.1f} (runs: {len(found)})"
        print(f"{run.row:30}{mean}   {first[0]['command']}")

# %% [markdown]
# ## Precision and recall with distractor queries (Fig. 5)
#
# A distractor query shows a place that is not in the database, so all its results are wrong. The results of all queries form
# one list, best score first. [Retrieval](05_retrieval.ipynb) computes precision and recall from such a list (Eq. 4).
#
# mAP looks at each query alone. Here, a wrong result of an easy query can come before a correct result of another
# query. So a good score must be comparable between queries. The photo from which a query was cut does not count as a
# result, because every method finds it.

# %%
methods = [run.name for run in runs.RUNS.values() if run.kind == "method"][::-1]
names = [*methods, "ft_att_votes", "rootsift", "ft_rmac", "ft_rmac_qe"]
ours = {
    runs.title(name): result
    for name in names
    for result in runs.load_results(name, RESULTS, BENCHMARK, seeds=False)
}
curves = {row: result for row, result in ours.items() if "curve" in result}
fig5 = figures.fig5(curves, values.fig5(), heading=f"{BENCHMARK}, here")
fig5

# %% [markdown]
# *The curves with fine-tuning or attention lie together, far above DELF-noFT and RootSIFT. The curve of R-MAC is the
# highest here, and that of DELF+FT+ATT in the paper.*
#
# Pale lines are the paper's curves, read off its figure. Limitation: the paper and this notebook use different photos
# and numbers of correct results. Compare only the order of the curves. The mean height of a curve summarizes it, with
# a 95% interval over landmarks and distractor queries:

# %%
for row, result in sorted(curves.items(), key=lambda each: -each[1]["curve"]["mean"]):
    low, high = result["curve"]["interval"]
    print(f"{row:26} mean height {result['curve']['mean']:5.1f}  [{low:.1f}, {high:.1f}]")

# %% [markdown]
# ## Neighbors, features, dimensions, bits, and an index that misses neighbors
#
# The next figure varies one number at a time. All panels use the same extracted features.
#
# - **Neighbors:** K, the number of database features that are found for each query feature (60 by default). With
#   and without verification by RANSAC.
# - **Features:** the best of a photo.
# - **Dimensions:** the first of the PCA, normalized again.
# - **Recall:** the share of the true 60 nearest neighbors that the index finds. A graph with few edges misses
#   some. These runs have 200 features per photo.
# - **Bits:** the size of a descriptor. Codes are of product quantization, with 4, 10 or 20 sub-vectors of 5 or 8
#   bits; the paper has 10 x 5 = 50 bits. A search compares all codes, so only the compression loses neighbors. The
#   largest number is without compression: 40 dimensions of 16 bits.

# %%
SWEEPS = {
    "neighbors K, votes only": "neighbors, votes only",
    "neighbors K": "neighbors",
    "features per photo": "features",
    "dimensions": "dimensions",
    "recall of the index (%)": "recall",
    "bits per descriptor": "bits",
}
sweeps = {label: runs.sweep(kind, RESULTS, BENCHMARK) for label, kind in SWEEPS.items()}
for label in SWEEPS:
    if not sweeps[label]:
        print(f"{label}: not run yet. Run: delfjax reproduce")

# %%
found = {label: results for label, results in sweeps.items() if results}
figures.sweeps(found) if found else None

# %% [markdown]
# *From 30 to 60 neighbors, votes gain much; from 60 to 240 they gain little, and the intervals do not decide. mAP
# rises most from 20 to 200 features; 1000 are worse than 500. Half the dimensions and short codes lose little; the shortest codes even gain here.*
#
# Each number is compared with the largest one, by the difference in mAP and its 95% interval over landmarks:

# %%
for label, results in found.items():
    largest = max(results)
    for number in sorted(results)[:-1]:
        gain = dx.evaluation.significance.paired_difference([results[number]], [results[largest]])
        shown = f"{gain.value:+5.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"
        print(f"{number:6.4g} {label:24} against {largest:.4g}: {shown}")

# %% [markdown]
# ## Keypoints on the landmark
#
# The rendered set knows which pixels show the landmark. The next list has the share of the best 100 keypoints of a
# photo that lie on it, over all good and ok photos of the evaluation set. Chance is the share of the photos' area that
# landmarks cover. Attention or fine-tuning doubles the share.

# %%
for row, result in ours.items():
    if "on_landmark" in result:
        on = result["on_landmark"]
        print(f"{row:24} {on['value']:5.1f} % on landmarks {on['interval']}, chance {on['chance']}")

# %% [markdown]
# ## The large set: three rankings of the same features
#
# A photo of 320 x 240 pixels is small for DELF: at scale 1, a receptive field covers 91% of its width. The large set,
# `rendered_large`, has photos of 640 x 480 pixels with 400 features each. It has 40 other landmarks, ten buildings that
# resemble one of them, and 200 distractor queries. `delfjax reproduce --profile full` makes its results, in several hours
# on two CPU cores.
#
# Each method ranks photos in three ways: by votes only, by the paper's rule (the number of inliers), and by our
# verification (votes and inliers together, with scales, and with weights if attention selects). The last two columns are
# the gains over votes only, with 95% intervals over landmarks.

# %%
large = runs.RESULTS / runs.PROFILES["full"].folder
measured = {
    name: result
    for name in runs.RUNS
    for result in runs.load_results(name, large, runs.LARGE, seeds=False)
}


def gain(name, other):
    found = dx.evaluation.significance.paired_difference([measured[name]], [measured[other]])
    return f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


# %%
rows = []
for name in methods[::-1]:
    rules = f"{name}_votes", name, f"{name}_aware"
    shown = (f"{measured[rule]['value']:.1f}" for rule in rules)
    rows.append((runs.title(name), *shown, gain(rules[1], rules[0]), gain(rules[2], rules[0])))
header = ("mAP", "votes only", "paper's rule", "our verification", "paper's gain", "our gain")
tables.Table(header=header, rows=tuple(rows))

# %% [markdown]
# *The worse the votes are, the more RANSAC gains: most for DELF-noFT, which selects many features of the background. After
# fine-tuning, the number of inliers gains nothing. Our verification gains with three methods; with DELF+FT+ATT its interval
# contains 0.*
#
# Why not inliers alone? Some correct photos, often from another side, have no more inliers than a wrong photo has by
# chance, but they have more votes. [Verification](../docs/verification.md) has numbers.
#
# Now the curves of Fig. 5 on the large set. The precision of the best method falls below 95% after about 4% of the correct
# results.

# %%
found = {runs.title(name): measured[name] for name in names if name in measured}
fig5_large = figures.fig5(found, values.fig5(), heading=f"{runs.LARGE}, here")
fig5_large

# %%
for row, result in sorted(found.items(), key=lambda each: -each[1]["curve"]["mean"]):
    low, high = result["curve"]["interval"]
    print(f"{row:26} mean height {result['curve']['mean']:5.1f}  [{low:.1f}, {high:.1f}]")

# %% [markdown]
# *All curves of DELF are far above those of R-MAC, which gives distractor queries high scores. On the small set, R-MAC is
# the best: the distractor queries of that set do not resemble the landmarks.*
#
# ## The paper's claims, tested here
#
# A claim rests on one or more differences between results, each with a 95% interval over landmarks and training runs.
# The claim **holds** if all intervals lie above 0. It **does not hold** if one lies below 0. Otherwise it is **not
# decided**: the landmarks or training runs are too few. If a claim of the paper does not hold or is not decided, a sentence
# says which result explains it. The paper shows curves for the first five claims. For the first three, mAP is a second
# measure: it differs less between landmarks, but has no distractor queries.
#
# **Limitation:** the results of other training seeds, of joint training and of conv5 were scored by an earlier version, which
# ranked photos with equal scores by their number. The other results were scored by both versions: the earlier one gives up to
# 0.3 points more.

# %%
decided = claims.decide_all(RESULTS, BENCHMARK)
print(claims.format_claims([claim for claim in decided if claim.source == "paper"]))

# %% [markdown]
# The same claims on the large set, with one training run, and those of our own claims for which there are results:

# %%
on_large = claims.decide_all(large, runs.LARGE)
print(claims.format_claims([claim for claim in on_large if claim.decision != "not run"]))

# %% [markdown]
# *Decided only on the large set, and only by mAP: fine-tuning helps where there is attention, and attention does not matter
# more than fine-tuning. Inliers reject distractor queries better on the large set, but not on the small one. Decided only on
# the small set: query expansion harms global descriptors, and local and global together are better than either. Whether
# attention helps after fine-tuning is not decided on either set.*
#
# The next claims are our own, on the small set. The paper does not vary these settings, or does not compare these runs.

# %%
print(claims.format_claims([claim for claim in decided if claim.source == "ours"]))

# %%
for source in ("paper", "ours"):
    found = [claim.decision for claim in decided if claim.source == source]
    print(f"{source}:", ", ".join(f"{found.count(each)} {each}" for each in dict.fromkeys(found)))

# %% [markdown]
# ## Summary
#
# - AP is the area under the precision-recall curve of one query. Junk photos are removed first.
# - Queries of one landmark are alike. Intervals over landmarks are wider than intervals over queries. Use them.
# - Two methods are compared by their difference on the same landmarks, and over several training runs.
# - Fig. 5 compares scores between queries, which mAP does not.
#
# **Differences from the paper.** The photos are rendered, of one small world, and the training set is small. Training
# and evaluation landmarks share the renderer's houses, trees and people. DIR and CONGAS are unavailable; R-MAC and
# RootSIFT replace them. In Fig. 5, the photo of a query is not a result. A claim that does not hold here does not hold
# on these photos and with this training. This says nothing about the paper's photos.
#
# **To try.** Put Oxford5k into a folder (`delfjax data fetch oxford5k --root FOLDER`) and run
# `make reproduce DATA=FOLDER PROFILE=paper`.
#
# The last cell fails if a statement of this notebook is no longer true. `make notebooks` also saves two figures.

# %%
if "DELFJAX_SAVE_FIGURES" in os.environ:
    system.save("figures/tables_fig1.png")
    fig5_large.save("figures/tables_fig5.png")
if BENCHMARK == runs.HEADLINE:
    assert claims.read_claims(RESULTS / claims.FILE) == decided
    assert claims.read_claims(large / claims.FILE) == on_large
    assert len(curves) == len(names)
    assert ours["DELF+FT+ATT"]["value"] > ours["DELF-noFT"]["value"] > ours["RootSIFT"]["value"]
