// How numbers, money and time are written.

const whole = new Intl.NumberFormat('en-US');
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
const short = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

export const NOTHING = '–';

export const number = (value) => (value === null || value === undefined ? NOTHING : whole.format(value));

export const brief = (value) => {
  if (value === null || value === undefined) return NOTHING;
  return Math.abs(value) >= 10000 ? compact.format(value) : Number.isInteger(value) ? whole.format(value) : short.format(value);
};

export const percent = (value) => (value === null || value === undefined ? NOTHING : `${Math.round(value * 100)} %`);

/** Minor units as money; whole units are enough on a dashboard. */
export const money = (cents, currency = 'USD') => {
  if (cents === null || cents === undefined) return NOTHING;
  const units = cents / 100;
  const notation = Math.abs(units) >= 100000 ? 'compact' : 'standard';
  try {
    return new Intl.NumberFormat('en-US', {
      style: 'currency', currency, notation, maximumFractionDigits: notation === 'compact' ? 1 : 0,
    }).format(units);
  } catch {
    return `${whole.format(Math.round(units))} ${currency}`;
  }
};

/** Seconds as people say them: `48 s`, `12 min`, `3 h 20 min`, `5 d`. */
export const duration = (seconds) => {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? '−' : '';
  if (size < 0.0995) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 9.95) return `${sign}${size.toFixed(1)} s`;
  if (size < 99.5) return `${sign}${Math.round(size)} s`;
  const minutes = Math.round(size / 60);
  if (minutes < 100) return `${sign}${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${sign}${hours} h` : `${sign}${hours} h ${minutes % 60} min`;
  return `${sign}${Math.round(hours / 24)} d`;
};

/** `mm:ss`, or hours and days where that says nothing: for clocks. */
export const clock = (seconds) => {
  const size = Math.max(0, Math.floor(Math.abs(seconds)));
  if (size >= 6000) return `${(size / 3600).toFixed(1)} h`;
  return `${Math.floor(size / 60)}:${String(size % 60).padStart(2, '0')}`;
};

export const bytes = (value) => {
  if (value === null || value === undefined) return NOTHING;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let size = value;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return `${at === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${units[at]}`;
};

const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', timeZone: 'UTC' });

export const timeOfDay = (ms) => (ms === null || ms === undefined ? NOTHING : time.format(new Date(ms)));

/** A date as `YYYY-MM-DD` in words. */
export const date = (value) => (value ? day.format(new Date(`${value}T00:00:00Z`)) : NOTHING);

/** A value in the unit that the manifest names. */
export const measure = (value, unit) => {
  if (value === null || value === undefined) return NOTHING;
  switch (unit) {
    case 'seconds': return duration(value);
    case 'share': return percent(value);
    case 'bytes': return bytes(value);
    case 'cents': return money(value);
    case 'radians': return `${short.format(value)} rad`;
    default: return unit ? `${brief(value)} ${unit}` : brief(value);
  }
};

/** `needs_attention` in words. */
export const words = (name) => (name ? name.replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase()) : NOTHING);
