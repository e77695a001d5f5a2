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
run = None
pipeline = "orders"
source = "sqlite:///integrity-demo/quarter/shop.db#orders"
destination = "sqlite:///integrity-demo/quarter/warehouse.db#orders"
folder = None

# %%
import tempfile
from pathlib import Path

from integrity import open_store
from integrity.ledger.recorded import recorded
from integrity.packs import export, included, verify_pack
from integrity.reperformance import reperform

work = Path(folder or tempfile.mkdtemp())
chosen = recorded(ledger, run, pipeline=pipeline)
chosen

# %% [markdown]
# ## A pack of that run
#
# It is signed, and holds everything that is needed to check it, but not the data.

# %%
pack = export(ledger, work / f"{chosen.name}.zip", run=chosen.name, seal_keys=work / f"{chosen.name}.keys")
verified = verify_pack(pack)
print(verified.headline())
assert verified.exit_code == 0, verified.headline()

# %% [markdown]
# ## The run, performed again

# %%
again = reperform(pack, source, destination)
print(again.headline())
assert again.exit_code == 0, again.headline()

# %% [markdown]
# ## Was this item in that batch?
#
# The first item of the source that lies in a batch of this run. The proof leads from the item, over hashes, to the root that the signed log holds.

# %%
columns = [*chosen.contract.identity, chosen.contract.clock.event.name, *chosen.contract.content]
rows = [row for batch in open_store(source).stream(columns) for row in batch.to_pylist()]
keys = work / f"{chosen.name}.keys"
proved = [(row, found) for row in rows[-5:] if (found := included(pack, row, keys, timezone="UTC"))]
assert proved, "none of the last items of the source is in a batch of this run"
assert all(proof.holds for _, found in proved for proof in found)
proved[0]

# %% [markdown]
# The same item under another name was in none:

# %%
item, _ = proved[0]
stranger = item | {next(iter(chosen.contract.identity)): "nobody"}
assert included(pack, stranger, keys, timezone="UTC") == []

# %% [markdown]
# ## Every batch, compared again from the pack alone
#
# What stands for each item in a seal names nobody, and yet tells equal from unequal: so both sides of each batch are counted again, without the
# data.

# %%
from integrity.packs.repeating import compare_again

counted = compare_again(pack)
assert counted["agrees"].all(), counted
counted.to_pandas()[
    ["batch_start", "source", "destination", "equal", "only_source", "only_destination", "verdict", "agrees"]
]
