/** What the server says about a run: the boot data of the page, and the messages of the live stream. */
import type { GraphDefinition } from "../graph/definition";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type RunStatus = "pending" | "running" | "waiting" | "paused" | "completed" | "failed" | "cancelled";
/**
 * What a step does or came to. `open`: what it has opened goes on, the items of its map or its subgraph. `held`: a pause
 * keeps it from its tool. `undone`: it was there to undo another, and has.
 */
export const STEP_STATUSES = ["running", "open", "retrying", "waiting", "held", "completed", "failed", "cancelled", "undone"] as const;
export type StepStatus = (typeof STEP_STATUSES)[number];

export const isOver = (status: RunStatus): boolean => ["completed", "failed", "cancelled"].includes(status);

/** A step that starts because of an event: its id, its node, and the map items around it. */
export type Scheduled = [step: string, node: string, path: string];

export interface EventData {
  scheduled?: Scheduled[];
  /** What is scheduled undoes what the run did. */
  undoing?: boolean;
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
  /** When the next attempt is due; empty if none follows by itself. */
  retry_at?: string;
  /** What the step waits for. */
  wait?: Json;
  /** Name and version of a subgraph that begins; empty for a computed one. */
  graph?: string;
  digest?: string;
  /** Of a run that moves to another version: its name, and new names of nodes by those before. */
  version?: string;
  mapping?: Record<string, string>;
  update?: JsonObject;
  /** What somebody set in the state. */
  values?: JsonObject;
  /** How held steps were released. */
  mode?: string;
  level?: string;
  /** Steps that were given out and are held uncalled. */
  held?: string[];
  /** Whether a breakpoint pauses the run. */
  stops?: boolean;
  /** Whether steps in flight may end before a cancelled run does. */
  graceful?: boolean;
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
    business_key: string;
    labels: Record<string, string>;
    /** The page of the run that it goes on from, and the event. */
    forked_from: { url: string; id: string; seq: number } | null;
    created_at: string;
    started_at: string | null;
    finished_at: string | null;
  };
  definition: GraphDefinition;
  seq: number;
  is_paused: boolean;
  is_undoing: boolean;
  nodes: { address: string; status: StepStatus | "ahead"; count: number; latest_seq: number }[];
  maps: { address: string; total: number; done: number; failed: number }[];
  subgraphs: { place: string; graph: string; digest: string; paths: string[] }[];
  steps: {
    step: string;
    node: string;
    path: string;
    status: StepStatus;
    attempt: number;
    started_at: string;
    finished_at: string | null;
    error: string;
    wait: Json;
  }[];
  events: RunEvent[];
  /** Steps that are given out and not called yet. */
  queued: string[];
  /** Null where it is too large to come with the page. */
  state: StateView | null;
  urls: { graph: string; socket: string; run: string; state: string; explain: string; subgraphs: string; items: string; queued: string; tasks: string; errors: string | null };
  /** Why the run is not moving, as of the page's making. */
  reasons: Reason[];
  /** Where the forms of the control verbs go; null for who may not use them. */
  control: { urls: Record<Verb, string>; csrf: string } | null;
  /** The form that starts the same run again, for whoever may use it. */
  again: PostForm | null;
  /** The form that forks the run at an event, for whoever may use it. */
  fork: PostForm | null;
  /** A command that starts the same run; null where its initial state is too large. */
  curl: string | null;
}

export interface PostForm {
  url: string;
  csrf: string;
}

export type Verb = "pause" | "resume" | "step" | "retry" | "cancel";

/** What keeps the run, or one of its branches. */
export interface Reason {
  because: string;
  message: string;
  /** `task`: the id of what a person is asked. */
  data: { task?: string };
}

/** What is drawn of a subgraph. `page`: where its graph's own page is. */
export interface SubgraphDrawing {
  definition: GraphDefinition;
  page: string | null;
}

/** How many items are over of maps that collect nothing. */
export type Items = Boot["maps"];

/** A run's head, as REST gives it: what no event says. */
export interface RunHead {
  seq: number;
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
