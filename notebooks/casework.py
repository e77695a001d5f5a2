# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Casework and sampling: what was decided about each break, by whom
#
# **Objective.** To see that every break was decided about in time, by somebody other than who ran the control, with a reason and a reference;
# and to draw a sample of runs to be tested by hand.
#
# **Risk.** Breaks that stay open, or that are explained away by whoever caused them.
#
# **Source.** The ledger. A decision changes no verdict.

# %% tags=["parameters"]
ledger = "integrity-demo/quarter/ledger.db"
pipeline = None  # all of them

# %%
from IPython.display import display

from integrity.handing import handed
from integrity.ledger import verify
from integrity.ledger.cases import UNDECIDED, trace
from integrity.ledger.listing import breaks
from integrity.ledger.samples import redraw, samples

ledger = handed(ledger)
record = verify(ledger)
print(record.headline())
assert record.is_sound, record.headline()

# %% [markdown]
# ## Every break, how old it is, and what was decided

# %%
cases = breaks(ledger, pipeline=pipeline).to_pandas()
cases[["id", "kind", "batch_start", "state", "case", "disposition", "by", "confirmed_by", "reference", "age"]]

# %% [markdown]
# ## What is still without a decision
#
# A disposition that was proposed and that nobody confirmed is none, and neither is one that was taken back.

# %%
undecided = cases[cases["case"].isin(UNDECIDED)]
print(f"without a decision: {len(undecided)} of {len(cases)} breaks")
undecided[["id", "kind", "batch_start", "case", "first_at", "age"]]

# %% [markdown]
# ## One break, traced
#
# Found by which runs, decided by whom, confirmed by whom. Four eyes are held to by the database itself: whoever ran it cannot dispose of what it
# found, and nobody confirms what they proposed. Of those about which something was decided or proposed it is the oldest; where there is none,
# nothing is traced.

# %%
decided = cases[cases["disposition"].notna()]
print(f"decided or proposed: {len(decided)} of {len(cases)} breaks")
for name in decided["id"].head(1):
    steps = trace(ledger, name).to_pandas()
    display(steps[["leaf", "at", "what", "run", "operator", "disposition", "by", "reference", "reason"]])

# %% [markdown]
# ## Samples, of runs and of items
#
# A reconciliation of everything is no sample. A sample serves to test by hand whether the control did what it says. Its seed is on record, so that
# anybody draws the same; it says how many were needed, and what its outcome supports.

# %%
drawn = samples(ledger).to_pandas()
print(f"samples on record: {len(drawn)}")
drawn[["leaf", "at", "of", "by", "size", "population", "deviations", "not_tested", "upper_bound", "supported"]]

# %%
for said in drawn["said"]:
    print(said)

# %% [markdown]
# Whoever doubts a sample of runs draws it again from the record alone; one of items takes their store, for the ledger names none of them.

# %%
for leaf in drawn["leaf"]:
    print(redraw(ledger, leaf))
    assert redraw(ledger, leaf).holds is not False, "a sample is not what its seed draws"
