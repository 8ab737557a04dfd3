/**
 * A run as the page shows it, and how events change it.
 *
 * `viewOf(boot)` is the run as of the boot's `seq`; `apply` adds newer events, so that the view after them equals the
 * boot of a page loaded then (but for what is kept only for a while: old steps and old log lines).
 */
import type { GraphDefinition, MapRoute, NodeDefinition, Route } from "../graph/definition";
import { Draft, NOTHING } from "./draft";
import { applyOne } from "./entries";
import { type Boot, isOver, type Items, type RunEvent, type RunHead, type RunStatus, STEP_STATUSES, type StepStatus } from "./events";
import { note } from "./lines";
import { type Phase, phasesOf } from "./phases";
import { addressOf, isInside, type Places, ROOT } from "./places";
import { dueAt, type Wait } from "./waits";

export interface StepView {
  id: string;
  node: string;
  path: string;
  /** Of its node; see places.ts. */
  address: string;
  status: StepStatus;
  attempt: number;
  startedAt: number;
  finishedAt: number | null;
  error: string;
  wait: Wait;
  /** What it did before, as far as it is known. */
  phases: Phase[];
}

/** The turns of one node: how many are in which status, and the items of the maps it has opened. */
export interface NodeView {
  counts: Record<StepStatus, number>;
  /** Turns that a pause holds before their steps were given out. */
  ahead: number;
  latest: StepStatus | null;
  items: { total: number; done: number; failed: number };
}

export type LogTone = "plain" | "start" | "good" | "bad" | "warn" | "said";

export interface LogLine {
  key: string;
  at: number;
  /** Of the node it is about; null for what concerns the whole run. */
  address: string | null;
  text: string;
  tone: LogTone;
  /** A tool has said it, whatever its tone. */
  isSaid?: boolean;
  /** It tells of an attempt that failed, which may have left a traceback. */
  isFailure?: boolean;
}

/** What is drawn at a place: the newest graph that began there. */
export interface Subgraph {
  graph: string;
  digest: string;
}

export interface RunView {
  seq: number;
  /** `waiting` and `paused` follow from what steps do; see `shownStatus`. */
  status: RunStatus;
  isPaused: boolean;
  /** Whether all that runs is there to undo what the run did. */
  isUndoing: boolean;
  error: string;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  /** By address. */
  nodes: Record<string, NodeView>;
  /** In the order in which they were scheduled. */
  steps: Map<string, StepView>;
  places: Places;
  /** By place. */
  subgraphs: Readonly<Record<string, Subgraph>>;
  /** The version that the run was moved to while the page was open; null: it has the one that the page began with. */
  movedTo: { version: string; digest: string } | null;
  /** Nodes of the run's graph that wait for several branches. */
  joins: ReadonlySet<string>;
  /** By the node of the run's graph that opens a map: where its items meet. */
  gathers: ReadonlyMap<string, string>;
  /** Nodes of the run's graph whose maps collect nothing: no event tells that an item is over. */
  untold: ReadonlySet<string>;
  /** Steps that are given out and not called yet, for want of a place or of a thread; no event tells. */
  queued: ReadonlySet<string>;
  /** Moves from address to address that were seen, as `source target`. */
  taken: ReadonlySet<string>;
  log: LogLine[];
  /** Keys written by the newest events, each with the seq that wrote it. */
  written: Record<string, number>;
}

const millis = (time: string | null): number | null => (time === null ? null : Date.parse(time));

/** Of a run that goes on the steps tell the rest. */
const outline = (status: RunStatus): RunStatus => (status === "pending" || isOver(status) ? status : "running");

/** The view after these events; those it already knows are ignored. */
export function apply(before: RunView, events: RunEvent[]): RunView {
  const fresh = events.filter((event) => event.seq > before.seq);
  if (fresh.length === 0) return before;
  const draft = new Draft(before);
  for (const event of fresh) {
    if (event.seq <= draft.view.seq) continue;
    draft.view.seq = event.seq;
    if (draft.view.status === "pending") Object.assign(draft.view, { status: "running", startedAt: Date.parse(event.at) });
    applyOne(draft, event);
    note(draft, event);
  }
  return draft.done();
}

/** The view at a later moment: attempts that were to wait until now run. */
export function promote(before: RunView, now: number): RunView {
  const due = [...before.steps.values()].filter(({ status, wait }) => status === "retrying" && (dueAt(wait) ?? now) <= now);
  if (due.length === 0) return before;
  const draft = new Draft(before);
  for (const step of due) draft.put({ ...step, status: "running", wait: null });
  return draft.done();
}

/** What the view has to know of the run's graph. */
export function marksOf({ nodes }: GraphDefinition): Pick<RunView, "joins" | "gathers" | "untold"> {
  const named = (has: (node: NodeDefinition) => boolean) => new Set(Object.keys(nodes).filter((name) => has(nodes[name]!)));
  const gathers = Object.entries(nodes).flatMap(([name, { next }]) => (isMap(next) && next.join ? [[name, next.join] as const] : []));
  return { gathers: new Map(gathers), joins: named((node) => Boolean(node.join)), untold: named(({ next }) => isMap(next) && !next.collect) };
}

const isMap = (next: Route | null | undefined): next is MapRoute => typeof next === "object" && next !== null && "map" in next;

/** Whether a map is open of which no event tells how many items are over. In subgraphs any may be such a one. */
export const hasUntold = ({ nodes, untold }: RunView): boolean =>
  Object.entries(nodes).some(([address, { counts, items }]) => counts.open > 0 && items.total > 0 && (untold.has(address) || address.includes("/")));

/** The view with the items of maps that collect nothing. */
export function withItems(view: RunView, maps: Items): RunView {
  const draft = new Draft(view);
  for (const { address, done, failed } of maps) Object.assign(draft.node(address).items, { done, failed });
  return draft.done();
}

/** Whether steps may be queued: as long as one is, or several are said to run at once. */
export const mayQueue = (view: RunView): boolean => !isOver(view.status) && (view.queued.size > 0 || within(view, ROOT).counts.running > 1);

/** The view with these steps queued. That one has begun is known when it is found to be queued no more. */
export function withQueued(before: RunView, steps: string[], now: number): RunView {
  const queued = new Set(steps);
  const begun = [...before.queued].filter((id) => !queued.has(id)).map((id) => before.steps.get(id));
  const draft = new Draft(before);
  draft.view.queued = queued;
  for (const step of begun) if (step?.status === "running") draft.put({ ...step, startedAt: now });
  return draft.done();
}

export function viewOf(boot: Boot): RunView {
  const { run } = boot;
  const draft = new Draft({
    seq: boot.seq,
    status: outline(run.status),
    isPaused: boot.is_paused,
    isUndoing: boot.is_undoing,
    error: run.error,
    createdAt: Date.parse(run.created_at),
    startedAt: millis(run.started_at),
    finishedAt: millis(run.finished_at),
    nodes: {},
    steps: new Map(),
    places: Object.fromEntries(boot.subgraphs.flatMap(({ place, paths }) => paths.map((path) => [path, place]))),
    subgraphs: Object.fromEntries(boot.subgraphs.map(({ place, graph, digest }) => [place, { graph, digest }])),
    movedTo: null,
    ...marksOf(boot.definition),
    queued: new Set(boot.queued),
    taken: new Set(),
    log: [],
    written: {},
  });
  const latest = new Map<string, number>();
  for (const { address, status, count, latest_seq: latestSeq } of boot.nodes) {
    const turns = draft.node(address);
    if (status === "ahead") {
      turns.ahead = count;
      continue;
    }
    turns.counts[status] = count;
    if (latestSeq > (latest.get(address) ?? 0)) {
      latest.set(address, latestSeq);
      turns.latest = status;
    }
  }
  for (const { address, ...items } of boot.maps) Object.assign(draft.node(address).items, items);
  const phases = phasesOf(boot.events);
  for (const { step: id, started_at: startedAt, finished_at: finishedAt, ...rest } of boot.steps) {
    const address = addressOf(draft.view.places, rest.path, rest.node);
    const times = { startedAt: Date.parse(startedAt), finishedAt: millis(finishedAt) };
    draft.view.steps.set(id, { id, ...rest, address, ...times, phases: phases.get(id) ?? [] });
  }
  for (const event of boot.events) note(draft, event);
  return draft.done();
}

/** That a worker has begun is told by no event, and why a run failed is told in full by its head alone. */
export function withHead(view: RunView, head: RunHead): RunView {
  if (isOver(view.status)) return { ...view, error: head.error };
  // That somebody stepped out of the run itself is told by no event, either.
  if (view.isPaused && head.seq >= view.seq && head.status !== "paused" && !isOver(head.status)) return released(view);
  if (view.status !== "pending" || isOver(head.status)) return view;
  return { ...view, status: outline(head.status), startedAt: millis(head.started_at) };
}

function released(view: RunView): RunView {
  const draft = new Draft(view);
  draft.release();
  return draft.done();
}

export const isQueued = ({ queued }: RunView, { id, status }: StepView): boolean => status === "running" && queued.has(id);

export type NodeStatus = StepStatus | "idle" | "undoing" | "queued";

/** What is under way comes first, then what is waited for. */
const PRESENT: StepStatus[] = ["running", "open", "retrying", "waiting", "held"];

/** What a node shows: what it does now, else how its newest turn ended. */
export function statusOf(node: NodeView | undefined, isUndoing = false): NodeStatus {
  if (!node) return "idle";
  const present = PRESENT.find((status) => node.counts[status] > 0);
  if (present) return isUndoing && present === "running" ? "undoing" : present;
  return node.ahead > 0 ? "held" : (node.latest ?? "idle");
}

/** How often the node was or is done; that it was undone is no turn. */
export function turnsOf(node: NodeView | undefined, isUndoing = false): number {
  if (!node) return 0;
  const isTurn = (status: StepStatus) => status !== "undone" && !(isUndoing && PRESENT.includes(status));
  return STEP_STATUSES.filter(isTurn).reduce((sum, status) => sum + node.counts[status], 0);
}

/** The nodes at a place and in all that is called there, taken together. */
export function within({ nodes }: RunView, place: string): NodeView {
  const sum = { ...NOTHING, counts: { ...NOTHING.counts } };
  for (const [address, { counts, ahead }] of Object.entries(nodes)) {
    if (!isInside(address, place)) continue;
    for (const status of STEP_STATUSES) sum.counts[status] += counts[status];
    sum.ahead += ahead;
  }
  return sum;
}

export type ShownStatus = RunStatus | "pausing" | "undoing";

/** The run's status in a word. */
export function shownStatus(view: RunView): ShownStatus {
  if (view.status !== "running") return view.status;
  const { counts, ahead } = within(view, ROOT);
  if (counts.running > 0) return view.isPaused ? "pausing" : view.isUndoing ? "undoing" : "running";
  if (view.isPaused) return "paused";
  return counts.retrying + counts.waiting + counts.held + ahead > 0 ? "waiting" : "running";
}
