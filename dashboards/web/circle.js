// The team on a circle: where each rep stands between ready for a customer and the paperwork after a sale.
//
//   θ = 0 at the top, clockwise: ready · π/2 mid-deal · π closing · 3π/2 paperwork · 2π = ready again
//
// The arrow is the mean phase and its length the coherence; the arc of the ready quarter is lit by coverage.

import { ease } from './ease.js';
import { keyed, s, text } from './elements.js';

const CENTRE = 160;
const RADIUS = 118;
const TURN = 2 * Math.PI;

const at = (phase, radius) => [CENTRE + radius * Math.sin(phase), CENTRE - radius * Math.cos(phase)];

const arc = (from, to, radius) => {
  const [x1, y1] = at(from, radius);
  const [x2, y2] = at(to, radius);
  return `M${x1.toFixed(2)} ${y1.toFixed(2)}A${radius} ${radius} 0 ${to - from > Math.PI ? 1 : 0} 1 ${x2.toFixed(2)} ${y2.toFixed(2)}`;
};

export const STAGES = ['Ready', 'Mid-deal', 'Closing', 'Paperwork'];

/** The stage of a phase: the quarter it is in. */
export const stageOf = (phase) => STAGES[Math.floor((((phase % TURN) + TURN) % TURN) / (TURN / 4)) % 4];

/** Initials of a name. */
const initials = (name) => (name ?? '').split(/\s+/).filter(Boolean).slice(0, 2).map((word) => word[0]).join('').toUpperCase();

/** Draws the circle into `svg`, once. */
export function circle(svg) {
  svg.replaceChildren(
    s('path', { class: 'circle-ready', d: arc(0, TURN / 4, RADIUS) }),
    s('circle', { class: 'circle-ring', cx: CENTRE, cy: CENTRE, r: RADIUS }),
    ...[0, 1, 2, 3].map((quarter) => {
      const [x1, y1] = at((quarter * TURN) / 4, RADIUS - 5);
      const [x2, y2] = at((quarter * TURN) / 4, RADIUS + 5);
      return s('line', { class: 'circle-tick', x1, y1, x2, y2 });
    }),
    ...STAGES.map((stage, quarter) => {
      const [x, y] = at((quarter * TURN) / 4 + TURN / 8, RADIUS + 34);
      return s('text', { class: 'circle-stage', x, y, 'text-anchor': 'middle', 'dominant-baseline': 'middle' }, stage);
    }),
    s('line', { class: 'circle-arrow', x1: CENTRE, y1: CENTRE, x2: CENTRE, y2: CENTRE }),
    s('circle', { class: 'circle-hub', cx: CENTRE, cy: CENTRE, r: 3.5 }),
    s('g', { class: 'circle-members' }),
  );
}

function turn(member, phase) {
  // The short way round.
  const from = member.phase ?? phase;
  const way = (((phase - from) % TURN) + TURN * 1.5) % TURN - Math.PI;
  ease(member, from, from + way, Math.PI, (value) => {
    member.phase = value;
    const [x, y] = at(value, RADIUS + (member.lane ?? 0));
    member.setAttribute('transform', `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
  });
}

/** Members that stand close together take turns on the ring and inside it, so that each can be read. */
function lanes(members) {
  const sorted = members.filter((member) => member.phase !== null).sort((a, b) => a.phase - b.phase || (a.id < b.id ? -1 : 1));
  const gap = (index) => {
    const before = sorted[(index + sorted.length - 1) % sorted.length].phase;
    return sorted.length === 1 ? TURN : (((sorted[index].phase - before) % TURN) + TURN) % TURN;
  };
  // Round the circle from where nobody stands.
  const gaps = sorted.map((_, index) => gap(index));
  const first = gaps.indexOf(Math.max(...gaps));
  const lane = new Map();
  let row = 0;
  sorted.forEach((_, step) => {
    const index = (first + step) % sorted.length;
    row = step > 0 && gaps[index] < 0.24 ? (row + 1) % 3 : 0;
    lane.set(sorted[index].id, [0, -26, -52][row]);
  });
  return lane;
}

/** Shows a team. */
export function showTeam(svg, team) {
  const group = svg.querySelector('.circle-members');
  const lane = lanes(team.teamMembers);
  keyed(
    group,
    team.teamMembers.filter((member) => member.phase !== null),
    (member) => member.id,
    () => s('g', { class: 'member' }, s('circle', { r: 12 }), s('text', { 'text-anchor': 'middle', 'dominant-baseline': 'central' }), s('title')),
    (element, member) => {
      text(element.querySelector('text'), initials(member.name));
      text(element.querySelector('title'), `${member.name}: ${stageOf(member.phase)}`);
      element.dataset.status = member.status ?? 'normal';
      element.dataset.off = String(member.availability === 'off');
      const next = lane.get(member.id) ?? 0;
      if (element.lane !== next) {
        element.lane = next;
        element.moved = true;
      }
      turn(element, member.phase);
    },
  );
  const arrow = svg.querySelector('.circle-arrow');
  if (team.meanPhase !== null && team.coherence !== null) {
    const length = RADIUS * 0.62 * team.coherence;
    const [x, y] = at(team.meanPhase, length);
    ease(`${svg.id}-x`, Number(arrow.getAttribute('x2')), x, RADIUS, (value) => arrow.setAttribute('x2', value.toFixed(2)));
    ease(`${svg.id}-y`, Number(arrow.getAttribute('y2')), y, RADIUS, (value) => arrow.setAttribute('y2', value.toFixed(2)));
  }
  svg.querySelector('.circle-ready').style.opacity = String(0.25 + 0.75 * (team.coverage ?? 0));
  const words = STAGES.map((stage) => {
    const count = team.teamMembers.filter((member) => member.phase !== null && stageOf(member.phase) === stage).length;
    return `${stage.toLowerCase()} ${count}`;
  });
  svg.setAttribute('aria-label', `Team phases: ${words.join(', ')}`);
}
