/** Keeps a run's store current: events over the socket, the state over REST whenever events may have changed it. */
import { type Boot, isOver, type Items, type RunHead, type StateView } from "./events";
import { follow } from "./socket";
import type { UseRun } from "./store";
import { hasUntold, mayQueue } from "./view";

const STATE_EVERY_MS = 700;
const PENDING_EVERY_MS = 1_000;
/** No event tells what waits for a thread or a process in its worker. */
const QUEUED_EVERY_MS = 3_000;
const TICK_MS = 250;

/** The answer as JSON; null if there is none, which the socket's state then tells too. */
export async function read<T>(url: string): Promise<T | null> {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

/** Starts watching; the returned function stops it. */
export function watch({ urls }: Boot, useRun: UseRun): () => void {
  let timer = 0;
  let reading = false;

  const readState = async () => {
    timer = 0;
    if (reading) return soon();
    reading = true;
    const state = await read<StateView>(urls.state);
    reading = false;
    if (state) useRun.getState().showState(state);
    if (hasUntold(useRun.getState().view)) await readItems();
    await readQueued();
  };
  const readItems = async () => {
    const items = await read<{ maps: Items }>(urls.items);
    if (items) useRun.getState().showItems(items.maps);
  };
  const readQueued = async () => {
    const { view: before } = useRun.getState();
    const answer = mayQueue(before) ? await read<{ steps: string[] }>(urls.queued) : null;
    const { view: now, showQueued } = useRun.getState();
    const isNews = answer !== null && (answer.steps.length !== now.queued.size || answer.steps.some((id) => !now.queued.has(id)));
    if (isNews) showQueued(answer.steps, Date.now());
  };
  const soon = () => {
    timer ||= window.setTimeout(() => void readState(), STATE_EVERY_MS);
  };

  const { state, view } = useRun.getState();
  if (state === null) soon();
  if (isOver(view.status)) {
    useRun.getState().setConnection("over");
    return () => clearTimeout(timer);
  }
  const readHead = async () => {
    const head = await read<RunHead>(urls.run);
    if (head) useRun.getState().showHead(head);
  };
  const pending = window.setInterval(() => {
    if (useRun.getState().view.status === "pending") void readHead();
    else clearInterval(pending);
  }, PENDING_EVERY_MS);
  const queueing = window.setInterval(() => void readQueued(), QUEUED_EVERY_MS);
  const ticking = window.setInterval(() => useRun.getState().tick(Date.now()), TICK_MS);
  const stop = follow(urls.socket, {
    cursor: () => useRun.getState().view.seq,
    onEvents: (events) => {
      useRun.getState().receive(events);
      soon();
      if (events.some(({ type, data }) => type === "StepReleased" && data.mode === "out")) void readHead();
    },
    onOutput: (chunks) => useRun.getState().hear(chunks),
    onEnd: () => {
      soon();
      void readHead();
    },
    onConnection: (connection) => useRun.getState().setConnection(connection),
  });
  return () => {
    clearTimeout(timer);
    clearInterval(pending);
    clearInterval(queueing);
    clearInterval(ticking);
    stop();
  };
}
