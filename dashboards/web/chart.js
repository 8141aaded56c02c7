// Small charts, drawn as SVG: bars by day with a line over them, and sparklines. Each has its numbers in words for those who do not see it.

import { ease } from './ease.js';
import { s } from './elements.js';

/** A sparkline of values; gaps stay gaps. */
export function sparkline(svg, values, label) {
  const width = 120;
  const height = 32;
  const known = values.filter((value) => value !== null && value !== undefined);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-label', label);
  if (known.length < 2) {
    svg.replaceChildren();
    return;
  }
  const [low, high] = [Math.min(0, ...known), Math.max(...known)];
  const span = high - low || 1;
  const x = (index) => (index / (values.length - 1)) * width;
  const y = (value) => height - 3 - ((value - low) / span) * (height - 6);
  let path = '';
  let pen = 'M';
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      pen = 'M';
      return;
    }
    path += `${pen}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = 'L';
  });
  svg.replaceChildren(
    s('path', { class: 'spark-area', d: `${path}L${width} ${height}L0 ${height}Z` }),
    s('path', { class: 'spark-line', d: path, 'vector-effect': 'non-scaling-stroke' }),
  );
}

function niceTop(value) {
  const size = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((top) => top >= value) ?? value;
}

/**
 * Bars by day in two series, side by side. `days` are `{ label, values: [first, second], title }`.
 */
export function bars(svg, days, label) {
  const width = Math.max(320, svg.clientWidth || 640);
  const height = 200;
  const [left, right, top, bottom] = [36, 4, 10, 24];
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('aria-label', label);
  const greatest = niceTop(Math.max(1, ...days.flatMap((day) => day.values.map((value) => value ?? 0))));
  const y = (value) => height - bottom - (value / greatest) * (height - top - bottom);
  const slot = (width - left - right) / Math.max(1, days.length);
  const bar = Math.min(14, Math.max(2, slot * 0.36));
  const grid = [0, 0.5, 1].map((share) => {
    const level = greatest * share;
    return s('g', { class: 'chart-grid' },
      s('line', { x1: left, x2: width - right, y1: y(level), y2: y(level) }),
      s('text', { x: left - 8, y: y(level), 'text-anchor': 'end', 'dominant-baseline': 'middle' }, String(+level.toFixed(1))));
  });
  const every = Math.ceil(days.length / Math.max(2, Math.floor(width / 90)));
  const old = svg.drawn ?? new Map();
  const drawn = new Map();
  const columns = days.map((day, index) => {
    const middle = left + slot * (index + 0.5);
    const rects = day.values.map((value, series) => {
      const key = `${day.label}-${series}`;
      const rect = s('rect', { class: `chart-bar chart-bar-${series}`, x: middle + (series - 1) * (bar + 1), width: bar, rx: 1.5 });
      const from = old.get(key) ?? 0;
      const to = value ?? 0;
      drawn.set(key, to);
      ease(`${svg.id}-${key}`, from, to, greatest, (height_) => {
        rect.setAttribute('y', y(height_).toFixed(2));
        rect.setAttribute('height', Math.max(0, height - bottom - y(height_)).toFixed(2));
      });
      if (!rect.hasAttribute('y')) {
        rect.setAttribute('y', y(from).toFixed(2));
        rect.setAttribute('height', Math.max(0, height - bottom - y(from)).toFixed(2));
      }
      return rect;
    });
    const shown = (days.length - 1 - index) % every === 0;
    return s('g', {}, s('title', {}, day.title), ...rects,
      shown && s('text', { class: 'chart-day', x: middle, y: height - 7, 'text-anchor': middle > width - 30 ? 'end' : 'middle' }, day.label));
  });
  svg.drawn = drawn;
  svg.replaceChildren(...grid, ...columns);
}
