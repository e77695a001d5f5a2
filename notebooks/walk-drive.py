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
# # A day of a drive, from the log of uploads to the object store
#
# **Objective.** To see whether every file that was uploaded is in the store, where it belongs, with the content that was uploaded.
#
# **Risk.** Files are lost, half-written, overwritten or rotten. A digest that was only copied, or that nobody computed, proves nothing, and
# two digests of different kinds cannot be compared.
#
# **Source.** The ledger of the reconciliation.

# %% tags=["parameters"]
ledger = "integrity-demo/ledger.db"
run = None
pipeline = "file"

# %% [markdown]
# ## Is the record itself sound?

# %%
from integrity.handing import handed
from integrity.ledger import verify
from integrity.ledger.recorded import recorded

ledger = handed(ledger)
record = verify(ledger)
print(record.headline())
assert record.is_sound, record.headline()

# %% [markdown]
# ## The run, and what it rests on

# %%
day = recorded(ledger, run, pipeline=pipeline)
day

# %% [markdown]
# ## Files, and what became of them
#
# What is *not comparable* has the same name on both sides, and no digest that both know: it is not counted as good.
#
# Every count is added up once more, from the rows: those of this run, and those of batches that stood as an earlier run had recorded them.

# %%
counts = day.counts()
assert counts["batches"].add(counts["unchanged"]).eq(counts["total"]).all(), "rows and totals disagree"
assert day.unbalanced().empty, "a batch does not add up"
counts

# %%
day.balance()

# %% [markdown]
# ## Every break, by kind

# %%
counted = counts.drop(index=list(day.by_number)).dropna()
assert counted["breaks"].eq(counted["batches"]).all(), "a break that is counted has no row"
breaks = day.breaks
breaks["kind"].value_counts().to_frame("breaks")

# %%
breaks.groupby("kind").head(3)[["kind", "batch_start", *day.contract.identity, "differing", "reason"]]

# %% [markdown]
# ## What was not checked, and how the control itself was tested
#
# What was said of the run may have been erased since; the counts stay.

# %%
print(*day.facts.notes, sep="\n")
print(day.facts.self_test)

# %% [markdown]
# ## Conclusion

# %%
print(f"{day.name}: {day.verdict}; {day.assertions}")
