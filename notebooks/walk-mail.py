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
# # A day of mail, from the gateway's journal to the mailboxes
#
# **Objective.** To see whether every mail that the gateway accepted is in the mailbox of each of its recipients once, and says what it said.
#
# **Risk.** Mails are lost, doubled, delivered into another mailbox or changed on their way. What is *meant* to change on the way (trace
# headers, line ends, transfer encodings) must not hide what is not.
#
# **Source.** The ledger of the reconciliation.

# %% tags=["parameters"]
ledger = "integrity-demo/ledger.db"
run = None
pipeline = "mail-day"

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
# ## What "the same mail" means
#
# The contract's ladder: a pair of mails stands on the highest rung that it reaches, and below the last one it is corrupt.

# %%
print(day.contract.to_yaml())

# %% [markdown]
# ## Deliveries, and what became of them
#
# One mail to three recipients is three items. The population is the journal's mails, one for each mailbox that they were meant for.
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
# ## Every break, by kind; where one was delivered into another mailbox, both sides of it say so

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
