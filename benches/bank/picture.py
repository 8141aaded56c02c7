"""Draws what the models say of the bank's team, and asserts that it can be true: picture.py --dealerflow F --output DIR --picture FILE.svg

  team-status       ─▶ coherence, bottlenecks, phases, load of each rep, every hour ─┐
  lead-assignments  ─▶ given at once, after waiting, to another rep, by day ─────────┼─▶ checks ─▶ figures in words, one picture
  tables            ─▶ when leads and deals began, segments, anomalies ──────────────┘

Only sums, shares and reps without names are drawn: the data are not ours to give away.
"""

import argparse
from datetime import datetime, timedelta

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Wedge

from replayed import ISSUES, ZONE, Leads, Team, asked

LEAD_CAP = 12
# Okabe and Ito's colours, which people of every colour vision tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#222222"
GREY = "#767676"
BANDS = [(0.0, 0.4, "critical"), (0.4, 0.6, "needs attention"), (0.6, 0.8, "good"), (0.8, 1.0, "excellent")]
BAND_COLOURS = ["#f3d3c4", "#f9e7c4", "#e4eef6", "#cfe3d8"]
ISSUE_COLOURS = [VERMILION, ORANGE, BLUE, SKY]
# The last applications came on 29 February; these two weeks show what that does to a team.
WEEKS_BEGIN, WEEKS_DAYS = datetime(2012, 2, 25, tzinfo=ZONE), 14

STYLE = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 26,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    # White also in a reader with a dark page.
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "path.simplify_threshold": 0.3,
    # Letters look alike everywhere.
    "svg.fonttype": "path",
    # The same output gives the same bytes.
    "svg.hashsalt": "dealerflow",
}


def check(team, leads):
    """What must hold of any replay, computed here from the reps' phases and from the messages."""
    on_duty = ~np.isnan(team.phases)
    order = np.nansum(np.exp(1j * np.nan_to_num(team.phases)) * on_duty, axis=1) / on_duty.sum(axis=1)
    assert np.all((team.coherence >= 0) & (team.coherence <= 1))
    assert np.allclose(np.abs(order), team.coherence, atol=1e-9), "coherence is not that of the phases"
    for r, status in zip(team.coherence, team.status):
        band = "excellent" if r > 0.8 else "good" if r >= 0.6 else "needs_attention" if r >= 0.4 else "critical"
        assert status == band, (r, status)
    apart = np.abs(np.angle(np.exp(1j * (team.phases - team.mean_phase[:, None]))))
    for row, behind in enumerate(team.behind):
        off = {team.ids[column] for column in np.flatnonzero(np.nan_to_num(apart[row]) > np.pi / 3)}
        assert off == behind, f"{team.times[row]}: {off ^ behind}"
    moved = np.abs(np.angle(np.exp(1j * np.diff(team.phases, axis=0))))
    assert np.mean(moved[~np.isnan(moved)] > 1e-6) > 0.999, "phases stand still"
    assert np.nanmax(team.leads) <= LEAD_CAP, f"{int(np.nanmax(team.leads))} active leads, and the cap is {LEAD_CAP}"
    assert leads.given["rep-112"] == 0, "the bank's software has cap 0 and got a lead"


def tell(team, leads, dealerflow, output):
    """The figures behind the picture."""
    quantiles = np.quantile(team.coherence, [0.05, 0.5, 0.95])
    print(f"team: {len(team.ids)} reps, {len(team.times):,} hourly reports")
    print("  coherence, 5 %, median, 95 %: " + " ".join(f"{quantile:.2f}" for quantile in quantiles))
    for low, high, name in BANDS:
        share = np.mean([status == name.replace(" ", "_") for status in team.status])
        print(f"  {name:<16} {share:6.1%} of the hours")
    print("leads: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(leads.counts.items())) + f", {leads.never} never had a rep")
    waited = sorted((end - begin).total_seconds() / 3600 for begin, end in leads.waits if end > begin)
    print(f"  {len(waited)} waited, at the median {waited[len(waited) // 2]:.1f} h, at most {waited[-1]:.1f} h" if waited else "  none waited")
    print(f"  most active leads of a rep at any hour: {int(np.nanmax(team.leads))} of {LEAD_CAP}; most active deals: {int(np.nanmax(team.deals))}")
    sizes = "select name, sum(customers) as leads, sum(outliers) as unusual from segments group by name order by leads desc"
    for row in asked(dealerflow, output, sizes):
        print(f"  {row['leads']:>6,} {row['name']}, {row['unusual']:,} of them unusual")
    at_first = "select count(*) as leads from anomalies a join leads l on a.lead_id = l.lead_id where a.detected_at = l.created_at"
    print(f"  of the unusual ones {asked(dealerflow, output, at_first)[0]['leads']:,} were so when they were created")


def legend(axes, columns):
    """Between title and plot, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.008, 0.985), ncols=columns, fontsize=9.5, handlelength=1.6, columnspacing=1.4, borderaxespad=0)


def days(axes, team):
    axes.set_xlim(team.local(0), team.local(len(team.times) - 1))
    axes.xaxis.set_major_locator(dates.MonthLocator(tz=ZONE))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%b %Y", tz=ZONE))
    axes.xaxis.set_minor_locator(dates.WeekdayLocator(byweekday=0, tz=ZONE))


def by_day(team, values):
    """Noon of each local day, with the rows of values that lie in the day."""
    rows = {}
    for row in range(len(team.times)):
        rows.setdefault(team.local(row).date(), []).append(row)
    noons = [datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=12) for day in rows]
    return noons, [values[hours] for hours in rows.values()]


def draw_coherence(axes, team, marks):
    for (low, high, name), colour in zip(BANDS, BAND_COLOURS):
        axes.axhspan(low, high, color=colour, lw=0)
        axes.text(1.004, (low + high) / 2, name, transform=axes.get_yaxis_transform(), va="center", fontsize=9.5, color=BLACK)
    times = [team.local(row) for row in range(len(team.times))]
    axes.plot(times, team.coherence, color=BLUE, lw=0.5, alpha=0.55, label="coherence, every hour")
    noons, values = by_day(team, team.coherence)
    axes.plot(noons, [np.median(hours) for hours in values], color=BLUE, lw=2.2, label="median of the day")
    noons, values = by_day(team, team.coverage_today)
    axes.plot(noons, [hours[-1] for hours in values], color=BLACK, lw=0.9, ls=(0, (2, 1.5)), label="coverage: share of the day with a rep ready")
    for mark, row in marks:
        axes.plot(team.local(row), team.coherence[row], "o", ms=7, mfc="white", mec=BLACK, mew=1.4, zorder=5)
        offset = (7, 7) if team.coherence[row] < 0.5 else (0, -15)
        axes.annotate(mark, (team.local(row), team.coherence[row]), xytext=offset, textcoords="offset points", fontweight="bold", ha="center")
    axes.set_ylim(0, 1.02)
    axes.grid(False)
    axes.set_ylabel("coherence r, coverage (0 to 1)")
    axes.set_title("How well the team moves together")
    legend(axes, 3)
    days(axes, team)


def moments(team):
    """Four instants, the best and the worst hour among them, in order of time."""
    settled = 24 * 14
    order = settled + np.argsort(team.coherence[settled:], kind="stable")
    rows = sorted(int(order[int(share * (len(order) - 1))]) for share in (0.0, 0.08, 0.5, 1.0))
    return list(zip("ABCD", rows))


def draw_circle(axes, team, mark, row, colours, norm):
    present = ~np.isnan(team.phases[row])
    phases, load = team.phases[row][present], (team.leads + team.deals)[row][present]
    axes.add_patch(Wedge((0, 0), 1, 0, 90, color="#e6f2ec", lw=0))
    axes.add_patch(plt.Circle((0, 0), 1, fill=False, color=GREY, lw=0.8))
    axes.text(0.5, 0.36, "ready", color="#00664b", ha="center", fontsize=9.5)
    # Reps at one place stand one behind the other, from the circle outwards, the closer the more they are.
    ranks, seen = [], {}
    for place in np.round(phases / 0.1).astype(int):
        ranks.append(seen.get(place, 0))
        seen[place] = ranks[-1] + 1
    radii = 1 + np.array(ranks) * min(0.085, 0.62 / max(1, *ranks))
    look = {"cmap": colours, "norm": norm, "s": 26, "lw": 0.4, "edgecolor": BLACK, "zorder": 3, "clip_on": False}
    axes.scatter(radii * np.cos(phases), radii * np.sin(phases), c=load, **look)
    r, mean = team.coherence[row], team.mean_phase[row]
    arrow = {"arrowstyle": "-|>", "color": BLACK, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (r * np.cos(mean), r * np.sin(mean)), (0, 0), arrowprops=arrow)
    axes.set_xlim(-1.66, 1.66)
    axes.set_ylim(-1.66, 1.66)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(f"{mark}  {team.local(row):%-d %b, %H:%M}: r = {r:.2f}", loc="center", fontsize=11, pad=2)


def draw_raster(axes, team, figure):
    begin = next(row for row in range(len(team.times)) if team.local(row) >= WEEKS_BEGIN)
    end = next(row for row in range(begin, len(team.times)) if team.local(row) >= WEEKS_BEGIN + timedelta(days=WEEKS_DAYS))
    window = slice(begin, end)
    load = (team.leads + team.deals)[window].mean(axis=0)
    columns = [column for column in np.argsort(load, kind="stable") if not np.isnan(team.phases[window][:, column]).any()]
    extent = (dates.date2num(team.local(begin)), dates.date2num(team.local(end)), 0, len(columns))
    look = {"cmap": "twilight", "vmin": 0, "vmax": 2 * np.pi, "interpolation": "nearest"}
    image = axes.imshow(team.phases[window][:, columns].T, aspect="auto", origin="lower", extent=extent, **look)
    axes.xaxis_date(tz=ZONE)
    axes.xaxis.set_major_locator(dates.DayLocator(interval=2, tz=ZONE))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%-d %b", tz=ZONE))
    axes.grid(False)
    axes.set_ylabel("rep, least loaded at the bottom")
    axes.set_title("Phase of every rep, hour by hour, around the day of the last new application (29 February)", pad=8)
    axes.set_xlabel("local time (Europe/Amsterdam)")
    bar = figure.colorbar(image, cax=axes.inset_axes([1.012, 0, 0.014, 1]))
    bar.set_ticks([0, np.pi / 2, np.pi, 3 * np.pi / 2, 2 * np.pi], labels=["0", "π/2", "π", "3π/2", "2π"])
    bar.set_label("phase θ (radians)")
    bar.outline.set_visible(False)


def draw_bottlenecks(axes, team):
    noons, values = by_day(team, team.bottlenecks)
    means = np.array([hours.mean(axis=0) for hours in values]).T
    axes.stackplot(noons, means, colors=ISSUE_COLOURS, labels=ISSUES, lw=0)
    noons, sizes = by_day(team, (~np.isnan(team.phases)).sum(axis=1))
    axes.plot(noons, [hours.mean() for hours in sizes], color=BLACK, lw=1.2, label="team on duty")
    axes.set_ylabel("reps, mean of the day")
    axes.set_title("Bottlenecks: reps more than π/3 off the mean phase, by issue")
    legend(axes, 5)
    axes.set_ylim(0, 70)
    days(axes, team)


def draw_assignments(axes, team, leads):
    noons, values = by_day(team, np.arange(len(team.times)))
    every = [noon.date() for noon in noons]
    series = [np.array([counter[day] for day in every]) for counter in (leads.at_once, leads.after_waiting, leads.reassigned)]
    bottom = np.zeros(len(every))
    labels = ["assigned at once", "assigned after waiting", "reassigned: no answer within an hour, or the rep gone"]
    for counts, colour, label in zip(series, (BLUE, ORANGE, "#b9b9b9"), labels):
        axes.bar(noons, counts, width=0.9, bottom=bottom, color=colour, label=label, lw=0)
        bottom += counts
    axes.set_ylabel("leads a day")
    axes.set_title("Assignments")
    legend(axes, 3)
    days(axes, team)


def draw_waiting(axes, team, leads):
    waiting = leads.waiting(team.times)
    # Only where it changes, and at both ends.
    rows = np.flatnonzero(np.diff(waiting, prepend=-1, append=-1)[:-1])
    rows = np.append(rows, len(waiting) - 1)
    axes.fill_between([team.local(row) for row in rows], waiting[rows], step="post", color=VERMILION, lw=0.6)
    axes.set_ylabel("leads")
    axes.set_title("Leads that wait because nobody may take them", pad=8)
    days(axes, team)


def draw_load(axes, team):
    people = [column for column, id in enumerate(team.ids) if id != "rep-112"]
    noons, values = by_day(team, np.concatenate([team.leads[:, people], team.deals[:, people]], axis=1))
    noon = np.array([hours[len(hours) // 2] for hours in values])
    lead, deal = noon[:, : len(people)], noon[:, len(people) :]
    spread = lambda values, share: np.nanquantile(values, share, axis=1)
    axes.fill_between(noons, spread(lead, 0), spread(lead, 1), color=BLUE, alpha=0.12, lw=0, label="active leads: all reps")
    axes.fill_between(noons, spread(lead, 0.25), spread(lead, 0.75), color=BLUE, alpha=0.3, lw=0, label="middle half")
    axes.plot(noons, spread(lead, 0.5), color=BLUE, lw=1.8, label="median")
    axes.axhline(LEAD_CAP, color=BLUE, lw=1.2, ls=(0, (4, 2)))
    axes.text(1.004, LEAD_CAP, "cap 12", transform=axes.get_yaxis_transform(), va="center", color=BLUE, fontsize=9.5)
    axes.plot(noons, spread(deal, 0.5), color=VERMILION, lw=1.8, label="active deals: median")
    axes.plot(noons, spread(deal, 0.9), color=VERMILION, lw=1, ls=(0, (2, 1.5)), label="nine in ten have fewer")
    axes.set_ylim(0, 33)
    axes.set_ylabel("active leads, active deals per rep")
    axes.set_title("Load per rep at noon, and the cap of active leads")
    axes.set_xlabel("local time (Europe/Amsterdam)")
    legend(axes, 5)
    days(axes, team)


def draw(team, leads, picture):
    figure = plt.figure(figsize=(13, 21), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, hspace=0.02)
    rows = figure.add_gridspec(7, 1, height_ratios=[1.1, 1.45, 1.15, 0.85, 1, 0.4, 1])
    marks = moments(team)
    draw_coherence(figure.add_subplot(rows[0]), team, marks)
    circles = rows[1].subgridspec(1, 5, width_ratios=[1, 1, 1, 1, 0.05])
    colours = plt.get_cmap("viridis_r")
    norm = plt.Normalize(0, 30)
    axes = [figure.add_subplot(circles[0, place]) for place in range(4)]
    for place, (mark, row) in zip(axes, marks):
        draw_circle(place, team, mark, row, colours, norm)
    bar = figure.colorbar(plt.cm.ScalarMappable(norm, colours), cax=figure.add_subplot(circles[0, 4]), extend="max")
    bar.set_label("active leads + deals")
    bar.outline.set_visible(False)
    draw_raster(figure.add_subplot(rows[2]), team, figure)
    draw_bottlenecks(figure.add_subplot(rows[3]), team)
    draw_assignments(figure.add_subplot(rows[4]), team, leads)
    draw_waiting(figure.add_subplot(rows[5]), team, leads)
    draw_load(figure.add_subplot(rows[6]), team)
    figure.savefig(picture, metadata={"Date": None, "Creator": "dealerflow benches/bank"})


def main():
    parser = argparse.ArgumentParser()
    for name in ("dealerflow", "output", "picture"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    team, leads = Team(arguments.output), Leads(arguments.dealerflow, arguments.output)
    tell(team, leads, arguments.dealerflow, arguments.output)
    check(team, leads)
    with plt.rc_context(STYLE):
        draw(team, leads, arguments.picture)
    print(f"drawn: {arguments.picture}")


if __name__ == "__main__":
    main()
