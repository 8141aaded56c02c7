"""Runs `dealerflow lab whaco` over an array, as anybody could."""

import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np


def whaco(dealerflow, rows, clusters=5, *options):
    """Cluster, score and outlier of every row, in order: three arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        names = ",".join(f"x{column}" for column in range(rows.shape[1]))
        np.savetxt(path, rows, delimiter=",", fmt="%.17g", header=names, comments="")
        command = [dealerflow, "lab", "whaco", "--input", path, "--clusters", str(clusters), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
    read = list(csv.DictReader(done.stdout.splitlines()))
    assert len(read) == len(rows)
    return (
        np.array([int(row["cluster"]) for row in read]),
        np.array([float(row["score"]) for row in read]),
        np.array([row["is_outlier"] == "true" for row in read]),
    )
