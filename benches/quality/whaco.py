"""WHACO beside its peers: one table, with what is passed and what is not."""

import argparse
import warnings

import numpy as np
from river import anomaly, cluster
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import lab
import sets

warnings.filterwarnings("ignore")


class Table:
    """Lines as they are found, and the count of those that fail."""

    def __init__(self):
        self.failed = 0

    def head(self, title, *names):
        print(f"\n{title}\n{'':<34}" + "".join(f"{name:>12}" for name in names), flush=True)

    def line(self, name, values, passed=None):
        cells = "".join(f"{'-' if value is None else format(value, '.3f'):>12}" for value in values)
        self.failed += passed is False
        print(f"{name:<34}{cells}  {'' if passed is None else 'pass' if passed else 'FAIL'}", flush=True)


def half_space_trees(rows, seed):
    """As river has them, over rows scaled with foresight, which they need; `None` scores before the first window."""
    trees = anomaly.HalfSpaceTrees(seed=seed)
    scores = []
    for row in MinMaxScaler().fit_transform(rows):
        row = dict(enumerate(row.tolist()))
        scores.append(trees.score_one(row))
        trees.learn_one(row)
    return np.array(scores)


def outliers(table, dealerflow, title, found, judged):
    """AUC, each row scored before it is learned; the isolation forest sees everything before it scores."""
    table.head(title, "whaco", "seed form", "half-space", "– warm", "iforest", "flagged")
    means = []
    for name, rows, outlying in found:
        scores = []
        for seed, order in enumerate(sets.shuffles(name, len(rows))):
            mixed, truth = rows[order], outlying[order]
            _, score, flagged = lab.whaco(dealerflow, mixed)
            _, distance, _ = lab.whaco(dealerflow, mixed, 5, "--mode", "seed")
            trees = half_space_trees(mixed, seed)
            forest = -IsolationForest(random_state=seed).fit(mixed).score_samples(mixed)
            warm = roc_auc_score(truth[250:], trees[250:]) if len(set(truth[250:])) == 2 else np.nan
            auc = [roc_auc_score(truth, found) for found in (score, distance, trees)]
            scores.append([*auc, warm, roc_auc_score(truth, forest), flagged.mean()])
        mean = np.nanmean(scores, axis=0)
        means.append(mean)
        table.line(f"{name} {rows.shape[0]}×{rows.shape[1]}, {outlying.sum()}", mean, bool(mean[0] >= np.nanmax(mean[2 : 4 if judged else 3]) - 0.02))
    mean = np.nanmean(means, axis=0)
    passed = mean[0] >= mean[2] and (not judged or mean[0] >= 0.90)
    table.line("mean" + (", at least .90" if judged else ""), mean, bool(passed))


def stream_labels(model, rows, before):
    """A river clusterer's labels: before each row is learned, or after all."""
    rows = [dict(enumerate(row.tolist())) for row in rows]
    labels = []
    for row in rows:
        if before:
            try:
                labels.append(model.predict_one(row))
            except (KeyError, ValueError, IndexError, ZeroDivisionError, AttributeError):
                labels.append(-1)
        model.learn_one(row)
    if before:
        return labels
    return [model.predict_one(row) for row in rows]


def peers(clusters):
    return [
        cluster.CluStream(n_macro_clusters=clusters, max_micro_clusters=100, seed=1),
        cluster.DenStream(decaying_factor=0.001, beta=0.5, mu=2.5, epsilon=0.5, n_samples_init=200),
        cluster.DBSTREAM(clustering_threshold=1.0, fading_factor=0.001, cleanup_interval=500),
    ]


def agreement(truth, model, rows, before):
    try:
        return adjusted_rand_score(truth, stream_labels(model, rows, before))
    except Exception:  # river's clusterers fail on some streams: that is their figure then
        return None


def stationary(table, dealerflow, title, found, with_peers):
    table.head(title, "whaco", "bar", "k-means++", "seed form", "CluStream", "DenStream", "DBSTREAM")
    for name, rows, classes in found:
        count = len(set(classes))
        scaled = StandardScaler().fit_transform(rows)
        ours, batch, seed_form = [], [], []
        for seed, order in enumerate(sets.shuffles(name, len(rows))):
            after = lab.whaco(dealerflow, rows[order], count, "--label", "after")[0]
            ours.append(adjusted_rand_score(classes[order], after))
            after = lab.whaco(dealerflow, rows[order], count, "--label", "after", "--mode", "seed")[0]
            seed_form.append(adjusted_rand_score(classes[order], after))
            labels = KMeans(count, n_init=1, random_state=seed).fit_predict(scaled[order])
            batch.append(adjusted_rand_score(classes[order], labels))
        bar = 0.95 * np.mean(batch)
        order = sets.shuffles(name, len(rows))[0]
        others = [agreement(classes[order], model, scaled[order], False) for model in peers(count)] if with_peers else [None] * 3
        values = [np.mean(ours), bar, np.mean(batch), np.mean(seed_form), *others]
        table.line(f"{name} {rows.shape[0]}×{rows.shape[1]}, {count}", values, bool(np.mean(ours) >= bar))


def drift(table, dealerflow):
    table.head("Drift: ARI of labels given before each row is learned", "whaco", "– windows", "– after", "CluStream", "DenStream", "DBSTREAM")
    for kind in ("steady", "to and fro", "jump"):
        ours = []
        for seed in range(sets.SHUFFLES):
            rows, classes = sets.drifting(seed, kind)
            before = lab.whaco(dealerflow, rows)[0]
            after = lab.whaco(dealerflow, rows, 5, "--label", "after")[0]
            windows = [adjusted_rand_score(classes[at : at + 1000], before[at : at + 1000]) for at in range(0, len(rows), 1000)]
            last = slice(-1000, None)
            ours.append([
                adjusted_rand_score(classes, before), np.mean(windows), adjusted_rand_score(classes[last], after[last]),
            ])
        rows, classes = sets.drifting(0, kind)
        scaled = StandardScaler().fit_transform(rows)
        others = [agreement(classes, model, scaled, True) for model in peers(5)]
        values = [*np.mean(ours, axis=0), *others]
        table.line(f"{kind}, 5 groups in 8 dimensions", values, bool(values[0] >= 0.88))


def flag_rate(table, dealerflow):
    table.head("Flags on 10,000 clean rows, real ÷ nominal: least and greatest of 5", "least", "greatest", "seed form")
    for kind in ("normal", "heavy tails", "unscaled log-normal"):
        for features in (1, 2, 8, 10, 30):
            for rate in (0.01, 0.05):
                rows = [sets.clean(seed, kind, features) for seed in range(5)]
                ratios = [lab.whaco(dealerflow, one, 5, "--flag-rate", str(rate))[2].mean() / rate for one in rows]
                seed_form = lab.whaco(dealerflow, rows[0], 5, "--mode", "seed")[2].mean() / rate
                passed = bool(min(ratios) >= 0.8 and max(ratios) <= 1.2)
                table.line(f"{kind}, {features} features, {rate}", [min(ratios), max(ratios), seed_form], passed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dealerflow", required=True)
    parser.add_argument("--only", choices=["outliers", "generated", "held-out", "stationary", "drift", "flags"])
    arguments = parser.parse_args()
    table, dealerflow = Table(), arguments.dealerflow
    wanted = lambda part: arguments.only in (None, part)
    if wanted("outliers"):
        outliers(table, dealerflow, "Outliers: AUC, mean of 10 shuffles", sets.outlier_sets(), True)
    if wanted("generated"):
        outliers(table, dealerflow, "Generated outliers: AUC, mean of 10 shuffles", sets.generated_outlier_sets(), False)
    if wanted("stationary"):
        stationary(table, dealerflow, "Clusters: ARI of the final model's labels, mean of 10 shuffles", sets.cluster_sets(), True)
    if wanted("drift"):
        drift(table, dealerflow)
    if wanted("flags"):
        flag_rate(table, dealerflow)
    if wanted("held-out"):
        held = sets.keel_imbalanced()
        outliers(table, dealerflow, "Held out: AUC on KEEL's imbalanced sets, whether or not the rare class lies apart", held, False)
        stationary(table, dealerflow, "Held out: ARI", sets.held_out_cluster_sets(), False)
    print(f"\n{table.failed} measures failed" if table.failed else "\nevery measure passed")
    raise SystemExit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
