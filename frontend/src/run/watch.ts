/** Keeps a run's store current: events over the socket, the state over REST whenever events may have changed it. */
import { type Boot, isOver, type StateView } from "./events";
import { follow } from "./socket";
import type { UseRun } from "./store";

const STATE_EVERY_MS = 700;

/** Starts watching; the returned function stops it. */
export function watch({ urls }: Boot, useRun: UseRun): () => void {
  let timer = 0;
  let reading = false;

  const readState = async () => {
    timer = 0;
    if (reading) return soon();
    reading = true;
    try {
      const response = await fetch(urls.state, { headers: { Accept: "application/json" } });
      if (response.ok) useRun.getState().showState((await response.json()) as StateView);
    } catch {
      // The connection is gone; the socket says so, and the next event asks again.
    } finally {
      reading = false;
    }
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
  const stop = follow(urls.socket, {
    cursor: () => useRun.getState().view.seq,
    onEvents: (events) => {
      useRun.getState().receive(events);
      soon();
    },
    onEnd: soon,
    onConnection: (connection) => useRun.getState().setConnection(connection),
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
