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
# # A day of messages, from the gateway to the archive
#
# **Objective.** To see whether every message that the gateway accepted on that day is in the archive once, unchanged, in time and sent by
# somebody who was in the room.
#
# **Risk.** Messages are lost, stored twice, altered or stored late without anybody noticing: processing would not be complete,
# accurate, timely and authorized (TSC PI1.3).
#
# **Source.** The ledger of the reconciliation, and nothing else: this notebook neither reads messages nor judges them.

# %% tags=["parameters"]
ledger = "integrity-demo/ledger.db"
run = None
pipeline = "message-day"

# %% [markdown]
# ## Is the record itself sound?
#
# Every leaf, row and private text is computed again. What is not as it was recorded would be named here, and the notebook would stop.

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
#
# Who ran it, when, under which contract, over which sources, with which software. Open the table for queries, digests and notes.

# %%
day = recorded(ledger, run, pipeline=pipeline)
day

# %% [markdown]
# ## What was promised

# %%
day.contract

# %% [markdown]
# ## The population, and what became of it
#
# The balance is a statement: the population of each side is the sum of what became of its items. If it did not add up, the run would
# have been an error. Here it is added up once more, from the rows: those of this run, and those of batches that stood as an earlier run
# had recorded them. Of batches that differ from recorded totals nobody knows what became of their items.

# %%
counts = day.counts()
assert counts["batches"].add(counts["unchanged"]).eq(counts["total"]).all(), "rows and totals disagree"
assert day.unbalanced().empty, "a batch does not add up"
counts

# %%
day.balance()

# %% [markdown]
# ## Batches that did not pass
#
# Those that were closed: failed, not verified, or pending because an item of theirs may still arrive.

# %%
failing = day.facts.remarkable.to_pandas()
failing[
    [
        "batch_start",
        "verdict",
        "source_records",
        "destination_records",
        "pending",
        "lost",
        "duplicate",
        "corrupt",
        "extra",
        "invalid",
        "late",
    ]
]

# %% [markdown]
# ## Every break, by kind
#
# Every break that is counted has a row, but for those of recorded totals, which say how many and not which. The verdict of each promise
# follows from them.

# %%
counted = counts.drop(index=list(day.by_number)).dropna()
assert counted["breaks"].eq(counted["batches"]).all(), "a break that is counted has no row"
breaks = day.breaks
breaks["kind"].value_counts().to_frame("breaks")

# %%
breaks.groupby("kind").head(2)[["kind", "batch_start", *day.contract.identity, "differing", "reason"]]

# %% [markdown]
# ## What was not checked, and how the control itself was tested
#
# What was said of the run may have been erased since; the counts stay.

# %%
print(*day.facts.notes, sep="\n")
print(day.facts.self_test)

# %% [markdown]
# ## Conclusion
#
# The verdicts of the run are results, not opinions. That exceptions are material, or are not, is for the reader to judge; that the gateway
# recorded every message that was sent was not tested.

# %%
print(f"{day.name}: {day.verdict}; {day.assertions}")
