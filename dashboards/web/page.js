// What both pages share: light and dark, the token, the dealer, and what the page says about its own freshness.

import { byId, h, show, text } from './elements.js';
import { duration, timeOfDay } from './format.js';
import { setToken } from './feed.js';

const THEME = 'dealerflow.theme';
const DEALER = 'dealerflow.dealer';
/** After this long without an answer, what is shown is called stale. */
const STALE_AFTER_MS = 10000;

function applyTheme(theme) {
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  const dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const button = byId('theme');
  button.setAttribute('aria-pressed', String(dark));
  button.setAttribute('aria-label', dark ? 'Dark colours: on' : 'Dark colours: off');
}

function theme() {
  applyTheme(localStorage.getItem(THEME));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => applyTheme(localStorage.getItem(THEME)));
  byId('theme').addEventListener('click', (event) => {
    const next = event.currentTarget.getAttribute('aria-pressed') === 'true' ? 'light' : 'dark';
    localStorage.setItem(THEME, next);
    applyTheme(next);
  });
}

/** Says something to screen readers, politely. */
export function announce(sentence) {
  text(byId('announcement'), sentence);
}

/** The page's own state: `loading`, `live`, `stale`, `lost`, `refused`. */
export class Freshness {
  constructor() {
    this.answered = null;
    this.epoch = null;
    this.state = 'loading';
    this.reason = null;
    setInterval(() => this.show(), 1000);
    this.show();
  }

  /** An answer came. */
  answer(epoch) {
    this.answered = Date.now();
    this.epoch = epoch;
    if (this.state !== 'lost') this.state = 'live';
    this.reason = null;
    this.show();
  }

  /** The stream lives. */
  live() {
    const was = this.state;
    this.state = 'live';
    if (was === 'lost') announce('The connection is back.');
    this.show();
  }

  /** The stream or an answer was lost. */
  lost(error) {
    if (error?.status === 401 || error?.status === 403) {
      this.state = 'refused';
      askForToken(error.message);
    } else if (this.state !== 'lost' && this.state !== 'refused') {
      this.state = 'lost';
      announce('The connection was lost. What is shown is no longer live.');
    }
    this.reason = error?.message ?? null;
    this.show();
  }

  show() {
    const age = this.answered === null ? null : Date.now() - this.answered;
    let state = this.state;
    if (state === 'live' && age !== null && age > STALE_AFTER_MS) state = 'stale';
    const badge = byId('freshness');
    badge.dataset.state = state;
    const since = age === null ? '' : ` for ${duration(age / 1000)}`;
    const sentence = {
      loading: 'Connecting', live: 'Live', stale: `Quiet${since}`, lost: `Connection lost${since}`, refused: 'No access',
    }[state];
    text(byId('freshness-word'), sentence);
    const epoch = byId('epoch');
    text(epoch, this.epoch === null ? '' : timeOfDay(this.epoch));
    epoch.title = this.epoch === null ? '' : `Epoch ${this.epoch}: everything on this page is of this one instant`;
    document.body.dataset.freshness = state;
    const banner = byId('banner');
    banner.hidden = !(state === 'lost' && age !== null);
    if (!banner.hidden) text(banner, `Not live${since}: ${this.reason ?? 'the server does not answer'}. Trying again.`);
  }
}

/** Opens the dialog that asks for a token. */
function askForToken(reason) {
  const dialog = byId('token-dialog');
  text(byId('token-reason'), reason);
  if (!dialog.open) dialog.showModal();
}

function tokenDialog() {
  byId('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    setToken(byId('token').value.trim());
    location.reload();
  });
}

/** The dealer that is looked at: from the address, else the last one looked at. */
export const dealer = () => new URLSearchParams(location.search).get('dealerId') ?? localStorage.getItem(DEALER);

/** Shows the dealers to choose from. */
export function showDealers(dealers, chosen) {
  const select = byId('dealer');
  show(select, dealers.map(({ id, name }) => h('option', { value: id }, name ? `${name} · ${id}` : id)));
  if (select.value !== chosen) select.value = chosen ?? '';
  select.disabled = dealers.length === 0;
}

/** Calls `changed` when another dealer is chosen. */
export function onDealer(changed) {
  byId('dealer')?.addEventListener('change', (event) => {
    const id = event.currentTarget.value;
    localStorage.setItem(DEALER, id);
    const address = new URL(location.href);
    address.searchParams.set('dealerId', id);
    history.replaceState(null, '', address);
    announce(`Dealer ${event.currentTarget.selectedOptions[0]?.textContent ?? id}.`);
    changed(id);
  });
}

/** An empty state: why there is nothing, and what brings something. */
export const empty = (title, hint) => h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), h('p', {}, hint));

export function begin() {
  theme();
  tokenDialog();
  return new Freshness();
}
