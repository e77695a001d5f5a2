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
# # A quarter at a glance, over many runs
#
# **Objective.** To see whether the control operated throughout the period: which windows were due, which were judged, what was missed, what
# broke, what changed.
#
# **Risk.** A control that passes whenever it runs, and did not run when it mattered.
#
# **Source.** The ledger.

# %% tags=["parameters"]
ledger = "integrity-demo/quarter/ledger.db"
period = "2026-01-01T00:00:00Z/2026-04-01T00:00:00Z"
pipeline = None  # all of them

# %% [markdown]
# ## Is the record itself sound, and against whom?
#
# Up to the checkpoint that somebody else holds nothing can have been rewritten without their noticing; beyond it, the owner's word.

# %%
from integrity.handing import handed
from integrity.ledger import verify
from integrity.ledger.changing import changes
from integrity.ledger.listing import breaks, runs
from integrity.ledger.status import period_of, status

ledger = handed(ledger)
record = verify(ledger)
print(record.headline())
assert record.is_sound, record.headline()

# %% [markdown]
# ## Did it operate?
#
# Every window of the period is counted: those that no run covered are `missed`. None of them is good by default.

# %%
glance = status(ledger, period=period, pipeline=pipeline)
glance

# %% [markdown]
# ## The runs that began in the period

# %%
since, until = period_of(period, glance.now)
made = runs(ledger, pipeline=pipeline, environment="production", since=since, until=until, last=None).to_pandas()
made[["run", "at", "how", "verdict", "breaks"]]

# %% [markdown]
# A run that failed, was abandoned or never ended is a deviation: what it was to find, nobody knows by it. It is named here, and does not stop
# this notebook, for a check stops it where the *record* is not sound; that the control did not operate is what a sound record shows.

# %%
deviations = made[made["how"] != "finished"]
print(f"deviations: {len(deviations)} of {len(made)} runs did not finish")
deviations[["run", "at", "how"]]

# %% [markdown]
# ## Windows by verdict
#
# The first verdict of a window stands; what later runs found is a revision beside it.

# %%
import pandas as pd

pd.DataFrame({each.pipeline: each.windows for each in glance.pipelines}).sort_index()

# %% [markdown]
# ## Breaks on record, and what became of them
#
# Those of all batches on record, whether they lie in the period or not.

# %%
found = breaks(ledger, pipeline=pipeline)
found.group_by("kind", "state").len("breaks").sort("kind", "state").to_pandas()

# %% [markdown]
# ## What changed

# %%
pd.DataFrame(changes(ledger, since, until))

# %% [markdown]
# ## Conclusion
#
# Missed runs, runs that did not finish and windows that nobody judged are deviations, whatever the others say.

# %%
for each in glance.pipelines:
    print(f"{each.pipeline}: {each.judged} of {each.due} due windows judged; runs missed: {each.missed_runs}")
    print(f"runs by how they ended: {dict(each.runs)}")
    print(f"breaks on record by what became of them: {dict(each.breaks)}")
