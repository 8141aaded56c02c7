// What the pages know: answers of the API, and the pulse stream that says when to ask again.
//
// The token, where one is needed, is kept for this tab alone and goes out in a header: never in an address, never in a cookie.

const TOKEN = 'dealerflow.token';

export const token = () => sessionStorage.getItem(TOKEN);
export const setToken = (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN));

const headers = () => (token() ? { authorization: `Bearer ${token()}` } : {});

/** An answer that is a problem. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => null);
  return new Problem(response.status, body?.detail ?? `the server answered ${response.status}`);
}

/** Asks for JSON. */
export async function ask(path) {
  const response = await fetch(path, { headers: headers(), cache: 'no-store', signal: AbortSignal.timeout(15000) });
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

/** The events of a stream of server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { name: 'message', data: '', id: null };
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const content = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') event.name = content;
        if (field === 'data') event.data += content;
        if (field === 'id') event.id = content;
      }
      yield event;
    }
  }
}

/**
 * Follows the pulse for ever: `told` gets each update, `state` hears `live`, or `lost` with the reason. After a loss it goes on behind the
 * last epoch that it had. Gives a function that ends it.
 */
export function follow(query, told, state) {
  const ended = new AbortController();
  let last = null;
  let pause = 500;
  (async () => {
    while (!ended.signal.aborted) {
      try {
        const own = last === null ? headers() : { ...headers(), 'last-event-id': last };
        const response = await fetch(`/api/pulse-stream?${query}`, { headers: own, cache: 'no-store', signal: ended.signal });
        if (!response.ok) throw await problemOf(response);
        state('live', null);
        pause = 500;
        for await (const event of events(response.body)) {
          if (event.id) last = event.id;
          if (event.name === 'dropped' || event.name === 'gap') last = null;
          told(event.name, event.data ? JSON.parse(event.data) : null);
        }
        throw new Error('the stream ended');
      } catch (error) {
        if (ended.signal.aborted) return;
        state('lost', error);
        if (error.status === 401 || error.status === 403) return;
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = Math.min(pause * 2, 15000);
      }
    }
  })();
  return () => ended.abort();
}

/** Calls `act` soon after it was asked to, and not more often than each `every` ms; never twice at once. */
export function paced(act, every) {
  let timer = null;
  let begun = 0;
  let running = false;
  let again = false;
  const run = async () => {
    timer = null;
    running = true;
    begun = Date.now();
    await act();
    running = false;
    if (again) {
      again = false;
      request();
    }
  };
  const request = () => {
    if (running) again = true;
    else timer ??= setTimeout(run, Math.max(0, begun + every - Date.now()));
  };
  return request;
}
