/**
 * A run as the page shows it, and how events change it.
 *
 * `viewOf(boot)` is the run as of the boot's `seq`; `apply` adds newer events, so that the view after them equals the
 * boot of a page loaded then (but for what is kept only for a while: old steps and old log lines).
 */
import { type Boot, isOver, type RunEvent, type RunHead, type RunStatus, type Scheduled, type StepStatus } from "./events";

export interface StepView {
  id: string;
  node: string;
  path: string;
  status: StepStatus;
  attempt: number;
  startedAt: number;
  finishedAt: number | null;
  error: string;
}

/** The turns of one node: how many are in which status, and the items of the maps it has opened. */
export interface NodeView {
  counts: Record<StepStatus, number>;
  latest: StepStatus | null;
  items: { total: number; done: number; failed: number };
}

export type LogTone = "plain" | "start" | "good" | "bad" | "warn" | "said";

export interface LogLine {
  key: string;
  at: number;
  node: string | null;
  text: string;
  tone: LogTone;
}

export interface RunView {
  seq: number;
  status: RunStatus;
  error: string;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  nodes: Record<string, NodeView>;
  /** In the order in which they were scheduled. */
  steps: Map<string, StepView>;
  /** Moves from node to node that were seen, as `source target`. */
  taken: ReadonlySet<string>;
  log: LogLine[];
  /** Keys written by the newest events, each with the seq that wrote it. */
  written: Record<string, number>;
}

export const MOST_STEPS = 2_000;
export const MOST_LOG_LINES = 5_000;

const NOTHING: NodeView = {
  counts: { running: 0, waiting: 0, completed: 0, failed: 0, cancelled: 0 },
  latest: null,
  items: { total: 0, done: 0, failed: 0 },
};

export const move = (source: string, target: string): string => `${source} ${target}`;

const millis = (time: string | null): number | null => (time === null ? null : Date.parse(time));

/** A copy that may be changed while events are applied: nodes and steps are replaced, never changed in place. */
class Draft {
  readonly view: RunView;

  constructor(before: RunView) {
    this.view = { ...before, nodes: { ...before.nodes }, steps: new Map(before.steps), taken: new Set(before.taken) };
    this.view.log = [...before.log];
    this.view.written = { ...before.written };
  }

  node(name: string): NodeView {
    const before = this.view.nodes[name] ?? NOTHING;
    const copy = { ...before, counts: { ...before.counts }, items: { ...before.items } };
    this.view.nodes[name] = copy;
    return copy;
  }

  /** Items are told of with the step of their map. */
  items(event: RunEvent, which: keyof NodeView["items"], more: number): void {
    const node = (event.step && this.view.steps.get(event.step)?.node) || event.node;
    if (node) this.node(node).items[which] += more;
  }

  schedule([id, node, path]: Scheduled, at: number, attempt?: number): void {
    const before = this.view.steps.get(id);
    const turns = this.node(node);
    if (before) turns.counts[before.status] -= 1;
    turns.counts.running += 1;
    this.view.steps.set(id, {
      id,
      node,
      path,
      status: "running",
      attempt: attempt ?? before?.attempt ?? 1,
      startedAt: at,
      finishedAt: null,
      error: "",
    });
  }

  finish(event: RunEvent, status: StepStatus, at: number): void {
    const { step: id, node } = event;
    if (!id || !node) return;
    const before = this.view.steps.get(id);
    const turns = this.node(node);
    // A join that freezes never ran; it has no turn to take back.
    if (before) turns.counts[before.status] -= 1;
    turns.counts[status] += 1;
    turns.latest = status;
    const fallback = { id, node, path: event.data.path ?? "", attempt: event.data.attempt ?? 1, startedAt: at };
    const { error, took_ms: tookMs } = event.data;
    this.view.steps.set(id, {
      ...(before ?? fallback),
      ...(tookMs !== undefined && { startedAt: at - tookMs }),
      status,
      finishedAt: at,
      error: error ? `${error.type}: ${error.message}` : "",
    });
  }

  end(status: RunStatus, at: number, error = ""): void {
    Object.assign(this.view, { status, error, finishedAt: at });
  }

  done(): RunView {
    this.view.log.splice(0, this.view.log.length - MOST_LOG_LINES);
    let surplus = this.view.steps.size - MOST_STEPS;
    for (const step of surplus > 0 ? this.view.steps.values() : []) {
      if (surplus <= 0) break;
      if (step.finishedAt === null) continue;
      this.view.steps.delete(step.id);
      surplus -= 1;
    }
    return this.view;
  }
}

function applyOne(draft: Draft, event: RunEvent): void {
  const { view } = draft;
  const at = Date.parse(event.at);
  switch (event.type) {
    case "RunReopened":
      Object.assign(view, { status: "running", finishedAt: null, error: "" });
      break;
    case "StepCompleted":
      // A step that opens a map is over when its items are: MapClosed.
      if (event.data.items) draft.items(event, "total", event.data.items.length);
      else draft.finish(event, "completed", at);
      for (const key of Object.keys(event.data.update ?? {})) view.written[key] = event.seq;
      break;
    case "MapClosed":
      draft.finish(event, "completed", at);
      break;
    case "StepFailed":
    case "MapFailed":
    case "BranchFrozen":
      draft.finish(event, "failed", at);
      break;
    case "StepCancelled":
      draft.finish(event, "cancelled", at);
      break;
    case "StepRescheduled": {
      const step = event.step ? view.steps.get(event.step) : undefined;
      if (!step) break;
      draft.schedule([step.id, step.node, step.path], at, event.data.attempt ?? step.attempt + 1);
      break;
    }
    case "ItemCollected":
      draft.items(event, "done", 1);
      break;
    case "ItemFailed":
      draft.items(event, "failed", 1);
      break;
    case "RunCompleted":
      draft.end("completed", at);
      break;
    case "RunFailed":
    case "RunTimedOut":
      draft.end("failed", at, event.message);
      break;
    case "RunCancelled":
      draft.end("cancelled", at);
      break;
  }
  for (const scheduled of event.data.scheduled ?? []) draft.schedule(scheduled, at);
}

const TONES: Record<string, LogTone> = {
  StepCompleted: "good",
  MapClosed: "good",
  RunCompleted: "good",
  StepFailed: "bad",
  MapFailed: "bad",
  BranchFrozen: "bad",
  ItemFailed: "bad",
  RunFailed: "bad",
  RunTimedOut: "bad",
  ConflictForeseen: "warn",
  StepCancelled: "warn",
  RunCancelled: "warn",
  StepRescheduled: "warn",
};

const LEVELS: Record<string, LogTone> = { warning: "warn", error: "bad", critical: "bad" };

function toneOf({ type, data }: RunEvent): LogTone {
  return type === "LogWritten" ? (LEVELS[data.level ?? ""] ?? "said") : (TONES[type] ?? "plain");
}

function note(draft: Draft, event: RunEvent): void {
  const { view } = draft;
  const at = Date.parse(event.at);
  view.log.push({ key: `${event.seq}`, at, node: event.node, text: event.message, tone: toneOf(event) });
  (event.data.scheduled ?? []).forEach(([, node, path], index) => {
    const text = `Started node: ${node}${path ? ` (${path})` : ""}`;
    view.log.push({ key: `${event.seq}.${index}`, at, node, text, tone: "start" });
  });
  for (const target of event.node ? (event.data.route ?? []) : []) {
    (view.taken as Set<string>).add(move(event.node as string, target));
  }
}

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

export function viewOf(boot: Boot): RunView {
  const { run } = boot;
  const draft = new Draft({
    seq: boot.seq,
    status: run.status,
    error: run.error,
    createdAt: Date.parse(run.created_at),
    startedAt: millis(run.started_at),
    finishedAt: millis(run.finished_at),
    nodes: {},
    steps: new Map(),
    taken: new Set(),
    log: [],
    written: {},
  });
  const latest = new Map<string, number>();
  for (const { node, status, count, latest_seq: latestSeq } of boot.nodes) {
    const turns = draft.node(node);
    turns.counts[status] = count;
    if (latestSeq > (latest.get(node) ?? 0)) {
      latest.set(node, latestSeq);
      turns.latest = status;
    }
  }
  for (const { node, ...items } of boot.maps) Object.assign(draft.node(node).items, items);
  for (const { step: id, started_at: startedAt, finished_at: finishedAt, ...rest } of boot.steps) {
    draft.view.steps.set(id, { id, ...rest, startedAt: Date.parse(startedAt), finishedAt: millis(finishedAt) });
  }
  for (const event of boot.events) note(draft, event);
  return draft.done();
}

/** That a worker has begun is told by no event, and why a run failed is told in full by its head alone. */
export function withHead(view: RunView, head: RunHead): RunView {
  if (isOver(view.status)) return { ...view, error: head.error };
  if (view.status !== "pending" || isOver(head.status)) return view;
  return { ...view, status: head.status, startedAt: millis(head.started_at) };
}

/** What a node shows: what it does now, else how its newest turn ended. */
export function statusOf(node: NodeView | undefined): StepStatus | "idle" {
  if (!node) return "idle";
  const { counts } = node;
  if (counts.running > 0) return "running";
  if (counts.waiting > 0) return "waiting";
  return node.latest ?? "idle";
}

export const turnsOf = (node: NodeView | undefined): number =>
  node ? Object.values(node.counts).reduce((sum, count) => sum + count, 0) : 0;
