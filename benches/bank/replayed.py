"""What a replay of the bank says, read from its output: hourly reports of the team, the course of each lead, the leads that wait."""

import json
import subprocess
from collections import Counter
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np

ZONE = ZoneInfo("Europe/Amsterdam")
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
ISSUES = [
    "Overloaded - too many active deals",
    "Slow day - no deals closed yet",
    "Significantly behind team rhythm",
    "Slightly out of sync",
]


def instant(text):
    """A time of ours, which is in UTC."""
    return datetime.fromisoformat(text.replace(" ", "T").replace("Z", "+00:00")).replace(tzinfo=timezone.utc)


def messages(output, topic):
    with open(f"{output}/topics/{topic}.jsonl") as lines:
        for line in lines:
            yield json.loads(line)


def asked(dealerflow, output, query):
    """The rows of a query over the replay's tables."""
    command = [dealerflow, "sql", "--output", output, "--format", "json", query]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Team:
    """The team at every whole hour: figures by hour, and by hour and rep (rep 0 is the one who was there first)."""

    def __init__(self, output):
        # Of reports at one instant the last counts. Most messages tell of a change between the hours: they are not read.
        reports = {}
        with open(f"{output}/topics/team-status.jsonl") as lines:
            for line in lines:
                if ':00:00.000Z","dealerid"' in line[:300]:
                    report = json.loads(line)
                    reports[instant(report["time"])] = report["data"]
        self.times = sorted(reports)
        hours = [reports[time] for time in self.times]
        self.ids = list(dict.fromkeys(member["id"] for hour in hours for member in hour["teamMembers"]))
        rep = {id: number for number, id in enumerate(self.ids)}
        self.coherence = np.array([hour["coherence"] for hour in hours])
        self.mean_phase = np.array([hour["meanPhase"] for hour in hours])
        self.status = [hour["status"] for hour in hours]
        self.coverage_today = np.array([np.nan if hour["coverageToday"] is None else hour["coverageToday"] for hour in hours])
        self.bottlenecks = np.array([[sum(b["issue"] == issue for b in hour["bottlenecks"]) for issue in ISSUES] for hour in hours])
        self.behind = [{b["salespersonId"] for b in hour["bottlenecks"]} for hour in hours]
        shape = (len(hours), len(self.ids))
        self.phases, self.leads, self.deals = (np.full(shape, np.nan) for _ in range(3))
        for row, hour in enumerate(hours):
            for member in hour["teamMembers"]:
                column = rep[member["id"]]
                if member["availability"] != "off":
                    self.phases[row, column] = member["phase"]
                self.leads[row, column] = member["activeLeads"]
                self.deals[row, column] = member["activeDeals"]

    def local(self, row):
        return self.times[row].astimezone(ZONE)


class Leads:
    """Who got which lead when, and how long leads waited."""

    def __init__(self, dealerflow, output):
        self.created = {
            row["lead_id"]: instant(row["created_at"])
            for row in asked(dealerflow, output, "select lead_id, created_at from leads where created_at is not null")
        }
        deals = {
            row["lead_id"]: instant(row["created_at"])
            for row in asked(dealerflow, output, "select lead_id, min(created_at) as created_at from deals group by lead_id")
        }
        self.counts = Counter()
        self.at_once, self.after_waiting, self.reassigned = Counter(), Counter(), Counter()
        self.waits, self.given, holder = [], Counter(), {}
        since = dict(self.created)
        for message in messages(output, "lead-assignments"):
            lead, time, kind = message["subject"], instant(message["time"]), message["type"]
            day = time.astimezone(ZONE).date()
            self.counts[kind] += 1
            if kind == "lead.unassigned":
                since[lead] = time
                holder.pop(lead)
                continue
            self.given[message["data"]["repId"]] += 1
            if kind == "lead.reassigned":
                assert holder[lead] != message["data"]["repId"], f"{lead} goes to the rep who has it"
                self.reassigned[day] += 1
            else:
                began = since.pop(lead)
                self.waits.append((began, time))
                (self.after_waiting if time > began else self.at_once)[day] += 1
            holder[lead] = message["data"]["repId"]
        # A lead that never got a rep waited until it became a deal, or at most until it was forgotten about.
        self.never = sum(lead in self.created for lead in since)
        self.waits += [(began, min(deals.get(lead, began + WEEK), began + WEEK)) for lead, began in since.items()]

    def waiting(self, times):
        """How many leads wait at each of the times."""
        stamps = [time.timestamp() for time in times]
        began = sorted(wait[0].timestamp() for wait in self.waits if wait[1] > wait[0])
        ended = sorted(wait[1].timestamp() for wait in self.waits if wait[1] > wait[0])
        return np.searchsorted(began, stamps, side="right") - np.searchsorted(ended, stamps, side="right")
