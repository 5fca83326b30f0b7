"""What pyCANON finds in a table: k, l, t and beta of a parquet file, as JSON.

Runs in an environment of its own, where pyCANON is; imports nothing of the tests.
"""

import json
import sys

import pyarrow.parquet as pq
from pycanon import anonymity

path, quasi, sensitive = sys.argv[1], sys.argv[2].split(","), [sys.argv[3]]
# A null is a value of its own here and none at all in pandas.
table = pq.read_table(path).to_pandas().astype(object)
table = table.where(table.notna(), "(null)").astype(str)
found = {
    "k": int(anonymity.k_anonymity(table, quasi)),
    "l": int(anonymity.l_diversity(table, quasi, sensitive)),
    "entropy_l": int(anonymity.entropy_l_diversity(table, quasi, sensitive)),
    "t": float(anonymity.t_closeness(table, quasi, sensitive)),
    "beta": float(anonymity.basic_beta_likeness(table, quasi, sensitive)),
    "rows": len(table),
}
json.dump(found, sys.stdout)
