/** What the server says about a run: the boot data of the page, and the messages of the live stream. */
import type { GraphDefinition } from "../graph/definition";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type RunStatus = "pending" | "running" | "waiting" | "paused" | "completed" | "failed" | "cancelled";
export type StepStatus = "running" | "waiting" | "completed" | "failed" | "cancelled";

export const isOver = (status: RunStatus): boolean => ["completed", "failed", "cancelled"].includes(status);

/** A step that starts because of an event: its id, its node, and the map items around it. */
export type Scheduled = [step: string, node: string, path: string];

export interface EventData {
  scheduled?: Scheduled[];
  /** For people: `fan[3].inner[0]`. */
  path?: string;
  attempt?: number;
  /** How long the tool ran. */
  took_ms?: number;
  /** Where the branch goes. */
  route?: string[] | null;
  /** The items, if the step opens a map. */
  items?: Json[] | null;
  error?: { type: string; message: string };
  update?: JsonObject;
  level?: string;
}

export interface RunEvent {
  seq: number;
  type: string;
  at: string;
  node: string | null;
  step: string | null;
  message: string;
  data: EventData;
}

/** A piece of what a tool streams while its step runs. Pieces of a step are numbered from 0. */
export interface Chunk {
  step: string;
  node: string | null;
  number: number;
  text: string;
}

/** What the page is born with, everything as of `seq`. Built by runs/pages.py and runs/overview.py. */
export interface Boot {
  run: {
    id: string;
    graph: string;
    version: number;
    status: RunStatus;
    error: string;
    actor: string;
    created_at: string;
    started_at: string | null;
    finished_at: string | null;
  };
  definition: GraphDefinition;
  seq: number;
  nodes: { node: string; status: StepStatus; count: number; latest_seq: number }[];
  maps: { node: string; total: number; done: number; failed: number }[];
  steps: {
    step: string;
    node: string;
    path: string;
    status: StepStatus;
    attempt: number;
    started_at: string;
    finished_at: string | null;
    error: string;
  }[];
  events: RunEvent[];
  /** Null where it is too large to come with the page. */
  state: StateView | null;
  urls: { graph: string; socket: string; run: string; state: string };
  cancel: { url: string; csrf: string } | null;
}

/** A run's head, as REST gives it: what no event says. */
export interface RunHead {
  status: RunStatus;
  error: string;
  started_at: string | null;
}

export interface StateView {
  seq: number;
  values: JsonObject;
  /** Keys that concurrent branches have set differently. */
  conflicts: string[];
}
