"""The second peer of `noise.py`: Tumult Analytics, asked the same in an environment of its own.

Prints the seconds and the answers of each run as one line of JSON, for each bound on users that it was given.
Only its own work is timed, over a table that Spark already holds in memory, after one run that does not count.
It has no statement with several aggregates: half of epsilon goes to the count and half to the sum, and the mean
follows from both.
"""

import json
import os
import sys
import time
import warnings

# Spark starts Python once more and must find this environment there.
os.environ["PYSPARK_PYTHON"] = sys.executable
warnings.filterwarnings("ignore")

from pyspark.sql import SparkSession
from tmlt.analytics import (
    AddRowsWithID,
    KeySet,
    MaxGroupsPerID,
    MaxRowsPerGroupPerID,
    PureDPBudget,
    QueryBuilder,
    Session,
)


def main() -> None:
    """Answer as often as asked, for each pair of bounds."""
    request = json.loads(sys.argv[1])
    value, epsilon = request["value"], request["epsilon"]
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "4g",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 2),
        "spark.sql.warehouse.dir": request["scratch"],
    }
    builder = SparkSession.builder.master("local[*]")
    for name, setting in settings.items():
        builder = builder.config(name, setting)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    table = spark.read.parquet(request["path"]).select("User", "Site", value).cache()
    table.count()
    keys = KeySet.from_dict({"Site": request["sites"]})
    for name, (groups, rows) in request["bounds"].items():
        session = Session.from_dataframe(
            privacy_budget=PureDPBudget(epsilon * (request["runs"] + 2)),
            source_id="jobs",
            dataframe=table,
            protected_change=AddRowsWithID("User"),
        )
        jobs = QueryBuilder("jobs").enforce(MaxGroupsPerID("Site", groups))
        jobs = jobs.enforce(MaxRowsPerGroupPerID("Site", rows))
        seconds, answers = [], []
        for run in range(request["runs"] + 1):
            start = time.perf_counter()
            share = PureDPBudget(epsilon / 2)
            counted = session.evaluate(jobs.groupby(keys).count(name="n"), share).collect()
            share = PureDPBudget(epsilon / 2)
            total = jobs.groupby(keys).sum(value, 0, request["high"], name="s")
            summed = {row["Site"]: row["s"] for row in session.evaluate(total, share).collect()}
            answer = {
                row["Site"]: [row["n"], summed[row["Site"]], summed[row["Site"]] / max(row["n"], 1)]
                for row in counted
            }
            if run > 0:
                seconds.append(time.perf_counter() - start)
                answers.append(answer)
        print(json.dumps({"bounds": name, "seconds": seconds, "answers": answers}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
