import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Chunk, RunEvent } from "../src/run/events";
import { type Connection, follow, socketUrl } from "../src/run/socket";
import { loopTwice } from "./boot";

class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    return FakeSocket.all.at(-1) as FakeSocket;
  }

  open() {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  tell(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  break(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  send(text: string) {
    this.sent.push(text);
  }

  close() {
    this.break(1005);
  }
}

let batches: RunEvent[][];
let heard: Chunk[];
let connections: Connection[];
let ends: string[];
let cursor: number;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  [batches, heard, connections, ends, cursor] = [[], [], [], [], 3];
  stop = follow("/ws/graph/run/r", {
    cursor: () => cursor,
    onEvents: (events) => {
      batches.push(events);
      cursor = events.at(-1)?.seq ?? cursor;
    },
    onOutput: (chunks) => heard.push(...chunks),
    onEnd: (status) => ends.push(status),
    onConnection: (connection) => connections.push(connection),
  });
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const frame = () => vi.advanceTimersByTime(20);

test("it asks for what comes after the cursor", () => {
  expect(socketUrl("/ws/graph/run/r", 3, { protocol: "https:", host: "h" } as Location)).toBe(
    "wss://h/ws/graph/run/r?after=3&ack=1",
  );
  expect(FakeSocket.last.url).toContain("after=3");
});

test("messages of one frame are handed over together and acknowledged once", () => {
  FakeSocket.last.open();
  FakeSocket.last.tell({ type: "events", events: loopTwice.slice(3, 5) });
  FakeSocket.last.tell({ type: "events", events: loopTwice.slice(5) });
  expect(batches).toEqual([]);
  frame();
  expect(batches).toEqual([loopTwice.slice(3)]);
  expect(FakeSocket.last.sent).toEqual(['{"ack":7}']);
});

test("streamed output is handed over and needs no acknowledgement", () => {
  const chunks = [{ step: "s4", node: "check", number: 0, text: "so" }];
  FakeSocket.last.open();
  FakeSocket.last.tell({ type: "stream", chunks });
  frame();
  expect([heard, FakeSocket.last.sent]).toEqual([chunks, []]);
});

test("a page that nobody sees, without frames, is kept current all the same", () => {
  vi.stubGlobal("requestAnimationFrame", () => 1);
  FakeSocket.last.tell({ type: "events", events: loopTwice.slice(3) });
  vi.advanceTimersByTime(1_000);
  expect(batches).toEqual([loopTwice.slice(3)]);
});

test("a broken connection is made again with the newest cursor, ever more slowly", () => {
  FakeSocket.last.open();
  FakeSocket.last.tell({ type: "events", events: loopTwice.slice(3, 5) });
  FakeSocket.last.break();
  expect(cursor).toBe(5);
  vi.advanceTimersByTime(250);
  expect(FakeSocket.all.length).toBe(2);
  expect(FakeSocket.last.url).toContain("after=5");
  FakeSocket.last.break();
  vi.advanceTimersByTime(249);
  expect(FakeSocket.all.length).toBe(2);
  vi.advanceTimersByTime(251);
  expect(FakeSocket.all.length).toBe(3);
  expect(connections).toEqual(["connecting", "live", "waiting", "connecting", "waiting", "connecting"]);
});

test("the end of the run is told after its last events, and nothing is tried again", () => {
  FakeSocket.last.open();
  FakeSocket.last.tell({ type: "events", events: loopTwice.slice(3) });
  FakeSocket.last.tell({ type: "end", status: "completed", seq: 7 });
  FakeSocket.last.break(1000);
  vi.advanceTimersByTime(60_000);
  expect([batches.length, ends, connections.at(-1), FakeSocket.all.length]).toEqual([1, ["completed"], "over", 1]);
});

test("a refused connection is not tried again", () => {
  FakeSocket.last.break(4403);
  vi.advanceTimersByTime(60_000);
  expect([connections.at(-1), FakeSocket.all.length]).toEqual(["refused", 1]);
});

test("a stopped follower neither tells nor connects any more", () => {
  FakeSocket.last.open();
  FakeSocket.last.tell({ type: "events", events: loopTwice });
  stop();
  vi.advanceTimersByTime(60_000);
  expect([batches, FakeSocket.all.length]).toEqual([[], 1]);
});
