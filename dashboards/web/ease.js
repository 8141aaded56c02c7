// Motion: values ease towards where they should be, in one loop for the whole page.
//
// An easing takes 600 to 1,200 ms, longer the further it goes. The loop measures its own frame rate; where a machine cannot keep up, or
// who looks wants no motion, values jump. Nothing runs while nothing moves.

const DURATION_MIN_MS = 600;
const DURATION_MAX_MS = 1200;
/** Below this many frames a second, motion is given up until the page is loaded again. */
const FRAMES_PER_SECOND_MIN = 24;
const FRAMES_MEASURED = 60;

const reduced = matchMedia('(prefers-reduced-motion: reduce)');
const moving = new Map();
const frames = [];
let last = null;
let measured = null;
let slow = false;
let running = false;

/** Frames a second over the last second of motion, or null before there was any. */
export const frameRate = () => measured;

/** Why nothing moves, or null if it does. */
export const stillness = () => (reduced.matches ? 'reduced motion' : slow ? 'slow display' : null);

const shape = (t) => 1 - (1 - t) ** 3;

function frame(now) {
  if (last !== null) {
    frames.push(now - last);
    if (frames.length > FRAMES_MEASURED) frames.shift();
    const middle = [...frames].sort((a, b) => a - b)[Math.floor(frames.length / 2)];
    measured = middle > 0 ? Math.round(1000 / middle) : null;
    if (frames.length === FRAMES_MEASURED && measured < FRAMES_PER_SECOND_MIN) slow = true;
  }
  last = now;
  for (const [key, motion] of moving) {
    motion.begun ??= now;
    const t = slow ? 1 : Math.min(1, (now - motion.begun) / motion.duration);
    motion.apply(motion.from + (motion.to - motion.from) * shape(t), t);
    if (t === 1) moving.delete(key);
  }
  if (moving.size > 0) {
    requestAnimationFrame(frame);
  } else {
    running = false;
    last = null;
  }
}

/**
 * Eases a value. `key` says which: a second call goes on from where the first one is. `reach` is the distance that takes longest; `apply`
 * gets each value.
 */
export function ease(key, from, to, reach, apply) {
  if (stillness() || document.hidden || from === null || from === undefined || from === to) {
    moving.delete(key);
    apply(to, 1);
    return;
  }
  const share = Math.min(1, Math.abs(to - from) / (reach || 1));
  const duration = DURATION_MIN_MS + (DURATION_MAX_MS - DURATION_MIN_MS) * share;
  moving.set(key, { from, to, duration, apply, begun: null });
  if (!running) {
    running = true;
    last = null;
    requestAnimationFrame(frame);
  }
}

/** Eases an element's number to a new one, through `write`. */
export function easeNumber(element, to, write) {
  const from = element.easedTo ?? null;
  if (to === null || to === undefined) {
    element.easedTo = null;
    element.textContent = write(to);
    return;
  }
  if (from === to) return;
  element.easedTo = to;
  ease(element, from, to, Math.max(Math.abs(to), 1), (value, t) => {
    element.textContent = write(t === 1 ? to : Number.isInteger(to) ? Math.round(value) : value);
  });
}
