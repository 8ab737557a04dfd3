/**
 * Follows a run over its WebSocket, from a cursor on, across broken connections.
 *
 * Events are collected and handed over once per animation frame; each hand-over is acknowledged, which is what lets
 * the server send more. A connection that breaks is tried again with the newest cursor, ever more slowly.
 */
import type { RunEvent, RunStatus } from "./events";

export type Connection = "connecting" | "live" | "waiting" | "over" | "refused";

export interface Follower {
  /** The seq up to which everything is known. */
  cursor(): number;
  onEvents(events: RunEvent[]): void;
  onEnd(status: RunStatus): void;
  onConnection(connection: Connection): void;
}

type Message =
  | { type: "events"; events: RunEvent[] }
  | { type: "end"; status: RunStatus; seq: number }
  | { type: "snapshot" }
  | { type: "stream" };

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const NORMAL = 1000;
/** The server's own codes: 4401 not logged in, 4403 not allowed, 4404 no such run. */
const FINAL_CODES_FROM = 4400;

export const socketUrl = (path: string, cursor: number, { protocol, host }: Location = location): string =>
  `${protocol === "https:" ? "wss" : "ws"}://${host}${path}?after=${cursor}&ack=1`;

/** Starts following; the returned function stops it. */
export function follow(path: string, follower: Follower): () => void {
  let socket: WebSocket | null = null;
  let queue: RunEvent[] = [];
  let frame = 0;
  let timer = 0;
  let waitMs = FIRST_WAIT_MS;

  const flush = () => {
    frame = 0;
    const events = queue;
    queue = [];
    follower.onEvents(events);
    const last = events.at(-1);
    if (last && socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: last.seq }));
  };

  const flushNow = () => {
    cancelAnimationFrame(frame);
    if (queue.length > 0) flush();
  };

  const receive = (message: Message) => {
    if (message.type === "events") {
      queue.push(...message.events);
      frame ||= requestAnimationFrame(flush);
    } else if (message.type === "end") {
      flushNow();
      follower.onEnd(message.status);
    }
  };

  const closed = ({ code }: CloseEvent) => {
    flushNow();
    socket = null;
    if (code === NORMAL) return follower.onConnection("over");
    if (code >= FINAL_CODES_FROM) return follower.onConnection("refused");
    follower.onConnection("waiting");
    timer = window.setTimeout(open, waitMs * (0.5 + Math.random() / 2));
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  };

  function open(): void {
    follower.onConnection("connecting");
    socket = new WebSocket(socketUrl(path, follower.cursor()));
    socket.onopen = () => {
      waitMs = FIRST_WAIT_MS;
      follower.onConnection("live");
    };
    socket.onmessage = (frame: MessageEvent<string>) => receive(JSON.parse(frame.data) as Message);
    socket.onclose = closed;
  }

  open();
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    if (socket) socket.onclose = null;
    socket?.close();
  };
}
