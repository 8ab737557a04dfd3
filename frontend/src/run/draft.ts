/** A view that is being changed. */
import type { RunEvent, RunStatus, Scheduled, StepStatus } from "./events";
import { givenOut, held, phasesIn } from "./phases";
import { addressOf, below } from "./places";
import { retryAt } from "./waits";
import type { NodeView, RunView, StepView } from "./view";

export const MOST_STEPS = 2_000;
export const MOST_LOG_LINES = 5_000;

export const NOTHING: NodeView = {
  counts: { running: 0, open: 0, retrying: 0, waiting: 0, held: 0, completed: 0, failed: 0, cancelled: 0, undone: 0 },
  ahead: 0,
  latest: null,
  items: { total: 0, done: 0, failed: 0 },
};

/** A copy that may be changed while events are applied: nodes and steps are replaced, never changed in place. */
export class Draft {
  readonly view: RunView;

  constructor(before: RunView) {
    this.view = { ...before, nodes: { ...before.nodes }, steps: new Map(before.steps), taken: new Set(before.taken) };
    this.view.log = [...before.log];
    this.view.written = { ...before.written };
  }

  node(address: string): NodeView {
    const before = this.view.nodes[address] ?? NOTHING;
    const copy = { ...before, counts: { ...before.counts }, items: { ...before.items } };
    this.view.nodes[address] = copy;
    return copy;
  }

  /** Of the node that an event is about. A line that a tool logged does not say where its step is. */
  address({ step, node, data }: RunEvent): string | null {
    const known = step ? this.view.steps.get(step) : undefined;
    return known?.address ?? (node === null ? null : addressOf(this.view.places, data.path ?? "", node));
  }

  put(step: StepView): void {
    const before = this.view.steps.get(step.id);
    const { counts } = this.node(step.address);
    if (before) counts[before.status] -= 1;
    counts[step.status] += 1;
    this.view.steps.set(step.id, step);
  }

  /** Let a step that is under way do something else. */
  turn(event: RunEvent, changes: Partial<StepView>): void {
    const step = event.step ? this.view.steps.get(event.step) : undefined;
    if (step) this.put({ ...step, ...changes });
  }

  /** Items are told of with the step of their map. */
  items(event: RunEvent, which: keyof NodeView["items"], more: number): void {
    const address = this.address(event);
    if (address) this.node(address).items[which] += more;
  }

  schedule([id, node, path]: Scheduled, at: number, attempt?: number): void {
    const before = this.view.steps.get(id);
    const address = addressOf(this.view.places, path, node);
    const turns = this.node(address);
    if (!before && turns.ahead > 0) turns.ahead -= 1;
    const phases = before && before.finishedAt === null ? givenOut(before.phases, at) : [];
    const begun = { status: "running" as const, startedAt: at, finishedAt: null, error: "", wait: null };
    this.put({ id, node, path, address, attempt: attempt ?? before?.attempt ?? 1, ...begun, phases });
  }

  /** An attempt failed: the next one is due at some time, or held by a pause. */
  retry(event: RunEvent): void {
    const attempt = (event.data.attempt ?? 1) + 1;
    const isDue = event.data.scheduled?.some(([id]) => id === event.step) ?? false;
    this.turn(event, { attempt, status: isDue ? "retrying" : "held", wait: isDue ? retryAt(event.data.retry_at ?? "") : null });
  }

  /** Steps that were given out wait uncalled until they are scheduled again. */
  hold(ids: string[], at: number): void {
    for (const id of ids) {
      const step = this.view.steps.get(id);
      if (step?.status !== "running" && step?.status !== "retrying") continue;
      this.put({ ...step, status: "held", wait: null, phases: held(step.phases, at) });
    }
  }

  /** In a paused run, where a branch goes from here it is held; where it meets others nobody can tell. */
  holdAhead(event: RunEvent): void {
    const { route, scheduled = [], path = "" } = event.data;
    // An item of a map ends where the items meet; when all have, the map's node leads there.
    const meets = [...this.view.gathers.values()];
    const targets = event.type === "MapClosed" ? [this.view.gathers.get(event.node ?? "") ?? "end"] : (route ?? []);
    for (const target of this.view.isPaused ? targets : []) {
      if (path.endsWith("]") && event.type !== "MapClosed" && meets.includes(target)) continue;
      const isAtRoot = addressOf(this.view.places, path, target) === target;
      const starts = scheduled.some(([, node, where]) => node === target && where === path);
      if (isAtRoot && !starts && target !== "end" && !this.view.joins.has(target)) this.node(target).ahead += 1;
    }
  }

  release(): void {
    this.view.isPaused = false;
    for (const [address, { ahead }] of Object.entries(this.view.nodes)) if (ahead > 0) this.node(address).ahead = 0;
  }

  /** A step's subgraph begins. */
  open(event: RunEvent): void {
    const { view } = this;
    const { graph = "", digest = "", path = "" } = event.data;
    const place = this.address(event);
    if (!place || !event.node) return;
    view.places = { ...view.places, [below(path, event.node)]: place };
    view.subgraphs = { ...view.subgraphs, [place]: { graph, digest } };
    this.turn(event, { status: "open" });
  }

  /** The run goes on as another version: what is held ahead is ahead of nodes with other names. */
  migrate({ data: { version = "", digest = "", mapping = {} } }: RunEvent): void {
    this.view.movedTo = { version, digest };
    const ahead = Object.entries(mapping).map(([before, now]) => [before, now, this.view.nodes[before]?.ahead ?? 0] as const);
    for (const [before, , count] of ahead) if (count > 0) this.node(before).ahead -= count;
    for (const [, now, count] of ahead) if (count > 0) this.node(now).ahead += count;
  }

  /** A migration has given the node of a step another name. */
  move(event: RunEvent): void {
    const step = event.step ? this.view.steps.get(event.step) : undefined;
    if (!step || event.node === null) return;
    const path = event.data.path ?? "";
    const address = addressOf(this.view.places, path, event.node);
    this.node(step.address).counts[step.status] -= 1;
    this.node(address).counts[step.status] += 1;
    this.view.steps.set(step.id, { ...step, node: event.node, path, address });
  }

  finish(event: RunEvent, outcome: StepStatus, at: number): void {
    const { step: id, node } = event;
    const address = this.address(event);
    if (!id || !node || !address) return;
    const status = outcome === "completed" && this.view.isUndoing ? "undone" : outcome;
    const before = this.view.steps.get(id);
    const { error, took_ms: tookMs, path = "", attempt = 1 } = event.data;
    const fallback = { id, node, path, address, attempt, startedAt: at, phases: [] };
    // A join that freezes never ran; it has no turn to take back.
    this.put({
      ...(before ?? fallback),
      ...(tookMs !== undefined && { startedAt: at - tookMs }),
      status,
      finishedAt: at,
      error: error ? [error.type, error.message].filter(Boolean).join(": ") : "",
      wait: null,
    });
    this.node(address).latest = status;
  }

  end(status: RunStatus, at: number, error = ""): void {
    this.release();
    Object.assign(this.view, { status, error, finishedAt: at });
  }

  /** Note for the timeline what the event says its step does from now on. */
  mark(event: RunEvent): void {
    const step = event.step ? this.view.steps.get(event.step) : undefined;
    const phases = phasesIn(event);
    if (step && phases.length > 0) this.view.steps.set(step.id, { ...step, phases: [...step.phases, ...phases] });
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
