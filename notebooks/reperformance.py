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
# # Reperformance, and proof that an item was in its batch
#
# **Objective.** To perform a run again, from the data as it is now, and compare; and to prove of single items that they were in the batch that
# was judged.
#
# **Risk.** A result that nobody can repeat, or a batch to which something was added afterwards.
#
# **Source.** An evidence pack of the run, exported here; the data; and the keys of its seals, which are kept apart from the pack.

# %% tags=["parameters"]
ledger = "integrity-demo/quarter/ledger.db"
run = None  # the latest that finished
pipeline = None  # of any
source = "sqlite:///integrity-demo/quarter/shop.db#orders"
destination = "sqlite:///integrity-demo/quarter/warehouse.db#orders"
grants = None
outcomes = None
members = None
corrections = None
folder = None

# %%
import tempfile
from pathlib import Path

from IPython.display import display

from integrity.handing import handed
from integrity.ledger.recorded import recorded
from integrity.packs import compare_again, export, verify_pack
from integrity.proving import proved, sealed_runs
from integrity.reperformance import reperform

ledger, source, destination = handed(ledger), handed(source), handed(destination)
references = {"grants": grants, "outcomes": outcomes, "members": members, "corrections": corrections}
references = {name: handed(location) for name, location in references.items()}
work = Path(folder or tempfile.mkdtemp())
chosen = recorded(ledger, run, pipeline=pipeline)
chosen

# %% [markdown]
# ## A pack of that run
#
# It is signed, and holds everything that is needed to check it, but not the data.

# %%
keys = work / f"{chosen.name}.keys"
pack = export(ledger, work / f"{chosen.name}.zip", run=chosen.name, seal_keys=keys)
verified = verify_pack(pack)
print(verified.headline())
assert verified.exit_code == 0, verified.headline()

# %% [markdown]
# ## The run, performed again
#
# Batches that stood as an earlier run had recorded them have their rows there: of these only the totals are compared. Where all of them stood,
# it is *unverified*, and the run to perform again is the earlier one.

# %%
again = reperform(pack, source, destination, **references)
print(again.headline())
assert not again.differences, again.headline()

# %% [markdown]
# ## Was this item in that batch?
#
# The first item that the source yields of those that lie in a sealed batch of this run; no more is read of it. The proof leads from the item,
# over hashes, to the root that the signed log holds. Under a contract that does not say `seal: merkle` no batch is sealed, and nothing is
# proved.

# %%
sealed = sealed_runs(pack)
print(f"sealed runs in this pack: {len(sealed)}")
shown = [each for name in sealed for each in proved(pack, source, destination, keys, run=name, **references)]
assert all(each.proof.holds for each in shown), "a proof does not lead to its root"
for each in shown:
    display(each.item, each.proof)

# %% [markdown]
# In the place of that item, another one was not there: with what would stand for it, the proof leads elsewhere.

# %%
assert not any(each.proof.of_another().holds for each in shown), "a proof holds for any item"

# %% [markdown]
# ## Every batch, compared again from the pack alone
#
# What stands for each item in a seal names nobody, and yet tells equal from unequal: so both sides of each batch are counted again, without the
# data.

# %%
columns = ["batch_start", "source", "destination", "equal", "only_source", "only_destination", "verdict", "agrees"]
for name in sealed:
    counted = compare_again(pack, run=name)
    assert counted["agrees"].all(), counted
    display(counted.to_pandas()[columns])
