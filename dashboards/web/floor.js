// The floor of one dealer: every figure of one epoch, asked for again as the pulse says that something changed.

import { showTeam, circle, stageOf } from './circle.js';
import { bars, sparkline } from './chart.js';
import { easeNumber } from './ease.js';
import { byId, h, keyed, s, show, text } from './elements.js';
import { ask, follow, paced } from './feed.js';
import { brief, clock, date, duration, money, number, percent, words } from './format.js';
import { announce, begin, dealer, empty, onDealer, showDealers } from './page.js';

/** Questions are asked not more often than this. */
const ASK_EVERY_MS = 1000;

const freshness = begin();
let shown = null;
let chosen = dealer();
let stop = null;
/** Within so many seconds a lead should be answered. */
let answerWithin = 900;
/** The server's clock less ours, so that clocks run between answers. */
let skew = 0;

const TILES = [
  { id: 'leads', label: 'Leads today', value: (day) => day?.leads ?? 0, write: number, series: (day) => day.leads },
  {
    id: 'answer', label: 'Median first answer', value: (day) => day?.responseSecondsP50 ?? null, write: duration,
    series: (day) => day.responseSecondsP50,
  },
  { id: 'closed', label: 'Deals closed today', value: (day) => day?.dealsClosed ?? 0, write: number, series: (day) => day.dealsClosed },
  {
    id: 'gross', label: 'Gross today', value: (day) => (day ? (day.frontGrossCents ?? 0) + (day.backGrossCents ?? 0) : 0),
    write: (value) => money(value, shown?.currency), series: (day) => (day.frontGrossCents ?? 0) + (day.backGrossCents ?? 0),
  },
];

function showTiles(floor) {
  const days = floor.kpis;
  const today = days.find((day) => day.day === floor.today) ?? null;
  keyed(byId('tiles'), TILES, (tile) => tile.id,
    (tile) => h('div', { class: 'tile' }, h('dt', {}, tile.label), h('dd', {}), h('dd', { class: 'curve' }, s('svg', { class: 'spark', role: 'img' }))),
    (element, tile) => {
      easeNumber(element.querySelector('dd'), tile.value(today), tile.write);
      const recent = days.slice(-14);
      const label = `${tile.label}, the last ${recent.length} days: ${recent.map((day) => tile.write(tile.series(day))).join(', ')}`;
      sparkline(element.querySelector('svg'), recent.map(tile.series), label);
    });
}

function showTeamCard(team) {
  const body = byId('team-body');
  if (!team || team.teamMembers.length === 0) {
    text(byId('team-lead'), '');
    body.hidden = true;
    show(byId('bottlenecks'), h('li', {}, empty('No reps yet', 'Send rep.added events, and the team appears here.')));
    show(byId('reps'));
    return;
  }
  const moves = team.teamMembers.some((member) => member.phase !== null);
  body.hidden = !moves;
  text(byId('team-lead'), team.status ? words(team.status) : '');
  if (moves) {
    showTeam(byId('circle'), team);
    easeNumber(byId('coherence'), team.coherence, (value) => (value === null || value === undefined ? '–' : value.toFixed(2)));
    easeNumber(byId('coverage'), team.coverage, percent);
  }
  const on = team.teamMembers.filter((member) => member.availability !== 'off');
  easeNumber(byId('on-floor'), on.length, number);
  text(byId('coherence-note'), team.status ? words(team.status).toLowerCase() : '');
  const ready = on.filter((member) => member.phase !== null && stageOf(member.phase) === 'Ready').length;
  text(byId('ready-note'), moves ? `${ready} ready for a customer` : 'on shift');
  const issues = team.bottlenecks ?? [];
  const list = byId('bottlenecks');
  if (!moves) {
    show(list, h('li', {}, empty('No phases yet', 'The oscillator model has not looked at this team: it is off, or has just begun.')));
  } else if (issues.length === 0) {
    show(list, h('li', { class: 'calm' }, 'Nobody is out of step.'));
  } else {
    show(list, issues.slice(0, 4).map((issue) => h('li', { class: 'issue' },
      h('span', { class: 'issue-name' }, issue.name), h('span', { class: 'issue-text' }, issue.issue))));
  }
  show(byId('reps'), team.teamMembers.map((member) => h('tr', {},
    h('th', { scope: 'row' }, member.name ?? member.id),
    h('td', {}, member.phase === null ? words(member.availability ?? 'unknown') : member.availability === 'off' ? 'Off' : stageOf(member.phase)),
    h('td', { class: 'figure' }, number(member.activeLeads)),
    h('td', { class: 'figure' }, number(member.activeDeals)),
    h('td', { class: 'figure' }, number(member.dealsToday)))));
}

/** The name of a rep. */
const nameOf = (id) => (id ? (shown?.team?.teamMembers.find((member) => member.id === id)?.name ?? id) : null);

/** How urgent a wait is: of the 15 minutes that a customer should wait at most. */
const urgency = (seconds) => (seconds < 600 ? 'good' : seconds < 900 ? 'warn' : 'bad');

function showClock(element, lead) {
  const waited = (Date.now() + skew - Date.parse(lead.createdAt)) / 1000;
  const left = answerWithin - waited;
  element.dataset.urgency = urgency(waited);
  text(element.querySelector('.clock-time'), left >= 0 ? clock(left) : `+${clock(left)}`);
  text(element.querySelector('.clock-word'), left >= 0 ? 'left' : 'over');
  const ring = element.querySelector('.clock-ring');
  ring.setAttribute('stroke-dashoffset', String(Math.round(100 * Math.min(1, Math.max(0, 1 - left / answerWithin)))));
}

function showLeads(floor) {
  const leads = floor.leads;
  const more = floor.leadsWaiting - leads.length;
  const list = byId('leads');
  text(byId('queue-lead'), floor.leadsWaiting === 0 ? '' : `${number(floor.leadsWaiting)} of the last day`);
  if (leads.length === 0) {
    show(list, h('li', {}, empty('Nobody is waiting', 'Every lead of the last day was answered.')));
    return;
  }
  for (const child of [...list.children]) if (!child.dataset.key) child.remove();
  keyed(list, leads, (lead) => lead.leadId,
    () => h('li', { class: 'lead-row' },
      h('div', { class: 'clock' },
        s('svg', { viewBox: '0 0 36 36', 'aria-hidden': 'true' },
          s('circle', { class: 'clock-track', cx: 18, cy: 18, r: 15.915 }),
          s('circle', { class: 'clock-ring', cx: 18, cy: 18, r: 15.915, 'stroke-dasharray': '100 100', transform: 'rotate(-90 18 18)' })),
        h('div', {}, h('span', { class: 'clock-time' }), h('span', { class: 'clock-word' }))),
      h('div', { class: 'lead-who' }, h('span', { class: 'lead-name' }), h('span', { class: 'note' })),
      h('div', { class: 'lead-what' }, h('span', { class: 'tag' }), h('span', { class: 'note' }))),
    (element, lead) => {
      element.lead = lead;
      text(element.querySelector('.lead-name'), lead.customerId ?? lead.leadId);
      text(element.querySelector('.lead-who .note'), [words(lead.channel), nameOf(lead.assignedTo) ?? 'nobody yet'].join(' · '));
      const tag = element.querySelector('.tag');
      text(tag, lead.segment ? words(lead.segment) : 'Not scored');
      tag.dataset.empty = String(!lead.segment);
      text(element.querySelector('.lead-what .note'), lead.priorityScore === null ? '' : `priority ${percent(lead.priorityScore)}`);
      showClock(element, lead);
    });
  if (more > 0) list.append(h('li', { class: 'note more' }, `and ${number(more)} more`));
}

/** Clusters of one segment are shown as one. */
function bySegment(clusters) {
  const segments = new Map();
  for (const { id, name, priority, customers, outliers } of clusters) {
    const own = segments.get(name) ?? { id: name ?? id, name, priority, customers: 0, outliers: 0 };
    own.customers += customers;
    own.outliers += outliers;
    segments.set(name, own);
  }
  return [...segments.values()];
}

function showSegments(clusters) {
  const segments = bySegment(clusters);
  const total = segments.reduce((sum, segment) => sum + segment.customers, 0);
  text(byId('segments-lead'), total > 0 ? `${number(total)} customers` : '');
  const list = byId('segments');
  if (segments.length === 0) {
    show(list, h('li', {}, empty('No segments yet', 'The clustering model has not scored a lead of this dealer: it is off, or has just begun.')));
    return;
  }
  for (const child of [...list.children]) if (!child.dataset.key) child.remove();
  const greatest = Math.max(...segments.map((segment) => segment.customers), 1);
  keyed(list, segments, (segment) => segment.id,
    () => h('li', {}, h('span', { class: 'segment-name' }), h('span', { class: 'segment-count' }),
      s('svg', { class: 'meter', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
        s('rect', { class: 'meter-track', width: 100, height: 4, rx: 1 }), s('rect', { class: 'meter-fill', height: 4, width: 0, rx: 1 })),
      h('span', { class: 'note' })),
    (element, segment) => {
      text(element.querySelector('.segment-name'), words(segment.name));
      easeNumber(element.querySelector('.segment-count'), segment.customers, number);
      element.querySelector('.meter-fill').setAttribute('width', String((100 * segment.customers) / greatest));
      text(element.querySelector('.note'), `priority ${percent(segment.priority)}${segment.outliers ? ` · ${number(segment.outliers)} unusual` : ''}`);
    });
}

function showAnomalies(anomalies) {
  const list = byId('anomalies');
  text(byId('anomalies-lead'), anomalies.length > 0 ? `the last ${anomalies.length}` : '');
  if (anomalies.length === 0) {
    show(list, h('li', {}, empty('Nothing unusual', 'Leads that fit no segment are shown here, with the reason.')));
    return;
  }
  show(list, anomalies.map((anomaly) => h('li', {},
    h('span', { class: 'anomaly-who' }, anomaly.customerId ?? anomaly.leadId),
    h('time', { class: 'note', datetime: anomaly.detectedAt }, `${duration(Math.max(0, (Date.now() + skew - Date.parse(anomaly.detectedAt)) / 1000))} ago`),
    h('p', {}, anomaly.reason))));
}

function showDays(days) {
  const recent = days.slice(-30);
  const chart = byId('days');
  if (recent.length === 0) {
    chart.hidden = true;
    show(byId('day-rows'));
    return;
  }
  chart.hidden = false;
  bars(chart, recent.map((day) => ({
    label: date(day.day), values: [day.leads, day.dealsClosed],
    title: `${date(day.day)}: ${number(day.leads)} leads, ${number(day.dealsClosed)} deals closed`,
  })), `Leads and deals closed on ${recent.length} days, up to ${date(recent.at(-1).day)}`);
  show(byId('day-rows'), [...recent].reverse().map((day) => h('tr', {},
    h('th', { scope: 'row' }, date(day.day)),
    h('td', { class: 'figure' }, number(day.leads)),
    h('td', { class: 'figure' }, number(day.responded)),
    h('td', { class: 'figure' }, duration(day.responseSecondsP50)),
    h('td', { class: 'figure' }, number(day.dealsClosed)),
    h('td', { class: 'figure' }, money((day.frontGrossCents ?? 0) + (day.backGrossCents ?? 0), shown?.currency)))));
}

async function refresh() {
  try {
    const floor = await ask(`/api/pulse/floor${chosen ? `?dealerId=${encodeURIComponent(chosen)}` : ''}`);
    skew = floor.epoch - Date.now();
    answerWithin = floor.answerWithinSeconds;
    const first = shown === null;
    shown = floor;
    if (floor.dealerId !== chosen) {
      chosen = floor.dealerId;
      listen();
    }
    showDealers(floor.dealers, chosen);
    showTiles(floor);
    showTeamCard(floor.team);
    showLeads(floor);
    showSegments(floor.segments);
    showAnomalies(floor.anomalies);
    showDays(floor.kpis);
    document.body.dataset.loaded = 'true';
    freshness.answer(floor.epoch);
    if (first) announce(`The floor of ${floor.dealerName ?? floor.dealerId ?? 'no dealer yet'} is shown.`);
  } catch (error) {
    freshness.lost(error);
  }
}

const askSoon = paced(refresh, ASK_EVERY_MS);

function listen() {
  stop?.();
  if (!chosen) return;
  const query = new URLSearchParams({ dealerId: chosen, topics: 'kpis,leads,deals,team,segments,assignments,anomalies' });
  stop = follow(query, (name) => {
    if (name === 'epoch') freshness.answer(freshness.epoch);
    else askSoon();
  }, (state, error) => {
    if (state === 'live') {
      freshness.live();
      askSoon();
    } else {
      freshness.lost(error);
    }
  });
}

circle(byId('circle'));
onDealer((id) => {
  chosen = id;
  listen();
  askSoon();
});
setInterval(() => {
  for (const row of byId('leads').children) if (row.lead) showClock(row, row.lead);
}, 1000);
// Clocks and days move on even where nothing happens.
setInterval(askSoon, 15000);
addEventListener('resize', () => shown && showDays(shown.kpis));
listen();
refresh();
