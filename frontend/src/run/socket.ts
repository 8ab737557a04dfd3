/**
 * Follows a run over its WebSocket, from a cursor on, across broken connections.
 *
 * Events are collected and handed over once per animation frame; each hand-over is acknowledged, which is what lets
 * the server send more. A connection that breaks is tried again with the newest cursor, ever more slowly.
 */
import type { Chunk, RunEvent, RunStatus } from "./events";

export type Connection = "connecting" | "live" | "waiting" | "over" | "refused";

export interface Follower {
  /** The seq up to which everything is known. */
  cursor(): number;
  onEvents(events: RunEvent[]): void;
  /** May repeat chunks after a broken connection. */
  onOutput(chunks: Chunk[]): void;
  onEnd(status: RunStatus): void;
  onConnection(connection: Connection): void;
}

type Message =
  | { type: "events"; events: RunEvent[] }
  | { type: "end"; status: RunStatus; seq: number }
  | { type: "stream"; chunks: Chunk[] };

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
/** Frames stand still in a page that nobody sees. */
const LONGEST_FRAME_MS = 1_000;
const NORMAL = 1000;
/** The server's own codes: 4400 a bad cursor, 4401 not logged in, 4404 no such run. */
const FINAL_CODES_FROM = 4400;

export const socketUrl = (path: string, cursor: number, { protocol, host }: Location = location): string =>
  `${protocol === "https:" ? "wss" : "ws"}://${host}${path}?after=${cursor}&ack=1`;

/** Starts following; the returned function stops it. */
export function follow(path: string, follower: Follower): () => void {
  let socket: WebSocket | null = null;
  let events: RunEvent[] = [];
  let chunks: Chunk[] = [];
  let frame = 0;
  let lateFrame = 0;
  let retry = 0;
  let waitMs = FIRST_WAIT_MS;

  const forgetFrame = () => {
    cancelAnimationFrame(frame);
    clearTimeout(lateFrame);
    frame = lateFrame = 0;
  };

  const flush = () => {
    forgetFrame();
    const [newEvents, newChunks] = [events, chunks];
    [events, chunks] = [[], []];
    if (newChunks.length > 0) follower.onOutput(newChunks);
    if (newEvents.length === 0) return;
    follower.onEvents(newEvents);
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: follower.cursor() }));
  };

  const receive = (message: Message) => {
    if (message.type === "end") {
      flush();
      return follower.onEnd(message.status);
    }
    if (message.type === "events") events.push(...message.events);
    else chunks.push(...message.chunks);
    frame ||= requestAnimationFrame(flush);
    lateFrame ||= window.setTimeout(flush, LONGEST_FRAME_MS);
  };

  const closed = ({ code }: CloseEvent) => {
    flush();
    socket = null;
    if (code === NORMAL) return follower.onConnection("over");
    if (code >= FINAL_CODES_FROM) return follower.onConnection("refused");
    follower.onConnection("waiting");
    retry = window.setTimeout(open, waitMs * (0.5 + Math.random() / 2));
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  };

  function open(): void {
    follower.onConnection("connecting");
    socket = new WebSocket(socketUrl(path, follower.cursor()));
    socket.onopen = () => {
      waitMs = FIRST_WAIT_MS;
      follower.onConnection("live");
    };
    socket.onmessage = (message: MessageEvent<string>) => receive(JSON.parse(message.data) as Message);
    socket.onclose = closed;
  }

  open();
  return () => {
    clearTimeout(retry);
    forgetFrame();
    if (socket) socket.onclose = null;
    socket?.close();
  };
}
