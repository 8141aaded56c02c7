// The pulse of the system: what flows through it, what each part of it promises, and whether it keeps that.

import { sparkline } from './chart.js';
import { easeNumber, frameRate, stillness } from './ease.js';
import { byId, h, keyed, s, show, text } from './elements.js';
import { ask, follow, paced } from './feed.js';
import { brief, duration, measure, number, words } from './format.js';
import { announce, begin, empty } from './page.js';

const ASK_EVERY_MS = 2000;
/** Reasons that are shown, the most frequent first. */
const REASONS_MAX = 6;
/** Seconds that the sparklines show. */
const SECONDS = 60;

const freshness = begin();
let worst = null;
/** What came in each of the last seconds. */
const flow = Array.from({ length: SECONDS }, () => ({ events: 0, messages: 0, epochs: 0 }));
let second = Math.floor(Date.now() / 1000);

function advance() {
  const now = Math.floor(Date.now() / 1000);
  for (; second < now; second += 1) {
    flow.push({ events: 0, messages: 0, epochs: 0 });
    flow.shift();
  }
}

const TILES = [
  { id: 'events', label: 'Events a second', value: () => flow.at(-2).events, write: brief, series: () => flow.map((one) => one.events) },
  { id: 'epochs', label: 'Epochs a second', value: () => flow.at(-2).epochs, write: brief, series: () => flow.map((one) => one.epochs) },
  { id: 'delay', label: 'Close to visible, median', value: (meta) => meta?.visibleSeconds ?? null, write: duration, series: null },
  { id: 'lag', label: 'Records waiting', value: (meta) => meta?.lagRecords ?? null, write: number, series: null },
  { id: 'state', label: 'Entities in memory', value: (meta) => meta?.stateRows ?? null, write: brief, series: null },
];
let last = null;

function showTiles() {
  advance();
  keyed(byId('tiles'), TILES, (tile) => tile.id,
    (tile) => h('div', { class: 'tile' }, h('dt', {}, tile.label), h('dd', {}), tile.series && h('dd', { class: 'curve' }, s('svg', { class: 'spark', role: 'img' }))),
    (element, tile) => {
      easeNumber(element.querySelector('dd'), tile.value(last), tile.write);
      if (tile.series) sparkline(element.querySelector('svg'), tile.series().slice(0, -1), `${tile.label} over the last minute`);
    });
  const still = stillness();
  const rate = frameRate();
  text(byId('motion'), still ? `Nothing moves: ${still}.` : rate ? `Motion runs at ${rate} frames a second.` : '');
}

const ORDER = ['breached', 'stale', 'fresh', 'absent'];
const WORDS = { fresh: 'Kept', stale: 'No news', breached: 'Missed', absent: 'Not there yet' };

function showSystems(systems) {
  const count = (status) => systems.filter((system) => system.status === status).length;
  const [breached, stale] = [count('breached'), count('stale')];
  const verdict = breached > 0 ? `${breached} of ${systems.length} promises missed` : stale > 0 ? 'Some systems are quiet' : 'Every promise is kept';
  document.body.dataset.verdict = breached > 0 ? 'bad' : stale > 0 ? 'warn' : 'good';
  text(byId('verdict'), verdict);
  const absent = count('absent');
  text(byId('verdict-note'), [
    `${count('fresh')} kept`, breached > 0 && `${breached} missed`, stale > 0 && `${stale} without news`, absent > 0 && `${absent} not there yet`,
  ].filter(Boolean).join(' · '));
  if (worst !== null && worst !== verdict) announce(verdict);
  worst = verdict;
  const sorted = [...systems].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  keyed(byId('systems'), sorted, (system) => system.id,
    () => h('tr', {}, h('th', { scope: 'row' }), h('td', {}, h('span', { class: 'promise' }), h('span', { class: 'note' })),
      h('td', { class: 'figure' }), h('td', { class: 'figure' }), h('td', {}, h('span', { class: 'status' }))),
    (row, system) => {
      const [name, promise, target, value, status] = row.children;
      text(name, system.name);
      text(promise.firstChild, system.promise);
      text(promise.lastChild, system.metric);
      text(target, system.target === null ? '–' : `${{ at_most: '≤', at_least: '≥' }[system.comparison] ?? ''} ${measure(system.target, system.unit)}`);
      text(value, measure(system.value, system.unit));
      status.firstChild.dataset.status = system.status;
      text(status.firstChild, WORDS[system.status]);
    });
}

function showInput(topics) {
  const behind = topics.filter((topic) => topic.lagRecords > 0).length;
  text(byId('lag-lead'), behind === 0 ? 'nothing waits' : `${behind} of ${topics.length} topics wait`);
  if (topics.length === 0) {
    show(byId('topics'), h('tr', {}, h('td', { colspan: 3 }, empty('Nothing read yet', 'The input topics appear as soon as the pipeline reads them.'))));
    return;
  }
  show(byId('topics'), topics.map((topic) => h('tr', {},
    h('th', { scope: 'row' }, words(topic.topic)),
    h('td', { class: 'figure' }, number(topic.lagRecords)),
    h('td', { class: 'figure' }, topic.delaySeconds === null ? 'quiet' : duration(topic.delaySeconds)))));
}

function showRejected(reasons) {
  const total = reasons.reduce((sum, reason) => sum + reason.records, 0);
  text(byId('rejected-lead'), total === 0 ? '' : `${number(total)} records since the start`);
  const list = byId('rejected');
  if (total === 0) {
    show(list, h('li', {}, empty('Everything was accepted', 'A record that cannot be read is kept with its reason, and shown here.')));
    return;
  }
  for (const child of [...list.children]) if (!child.dataset.key) child.remove();
  const greatest = Math.max(...reasons.map((reason) => reason.records));
  keyed(list, reasons.slice(0, REASONS_MAX), (reason) => reason.reason,
    () => h('li', {}, h('span', { class: 'segment-name' }), h('span', { class: 'segment-count' }),
      s('svg', { class: 'meter', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
        s('rect', { class: 'meter-track', width: 100, height: 4, rx: 1 }), s('rect', { class: 'meter-fill', height: 4, rx: 1 }))),
    (element, reason) => {
      text(element.querySelector('.segment-name'), words(reason.reason));
      easeNumber(element.querySelector('.segment-count'), reason.records, number);
      element.querySelector('.meter-fill').setAttribute('width', String((100 * reason.records) / greatest));
    });
}

async function refresh() {
  try {
    const meta = await ask('/api/pulse/meta');
    last = meta;
    showSystems(meta.systems);
    showInput(meta.topics);
    showRejected(meta.rejected);
    showTiles();
    document.body.dataset.loaded = 'true';
    freshness.answer(meta.epoch);
  } catch (error) {
    freshness.lost(error);
  }
}

const askSoon = paced(refresh, ASK_EVERY_MS);

follow('topics=pipeline', (name, data) => {
  if (name === 'pipeline') {
    advance();
    const now = flow.at(-1);
    now.events += data.events;
    now.messages += data.messages;
    now.epochs += 1;
    freshness.answer(data.epoch);
  }
}, (state, error) => {
  if (state === 'live') freshness.live();
  else freshness.lost(error);
});
setInterval(showTiles, 1000);
setInterval(askSoon, ASK_EVERY_MS);
showTiles();
refresh();
