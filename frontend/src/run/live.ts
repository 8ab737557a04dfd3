/** The drawing's questions (graph/live.ts) at one place of a run, answered from its store. */
import { useShallow } from "zustand/react/shallow";
import { IDLE, type EdgeLive, type Live, type NodeLive } from "../graph/live";
import { type DrawnEdge, START } from "../graph/model";
import { addressAt, move } from "./places";
import type { RunStore, UseRun } from "./store";
import { isQueued, type NodeStatus, type RunView, statusOf, turnsOf, within } from "./view";
import { waitText } from "./waits";

type Viewed = Pick<RunStore, "view">;

const WITH_NOTE: NodeStatus[] = ["retrying", "waiting"];

function noteAt({ steps }: RunView, address: string, status: NodeStatus): string {
  if (status === "held") return "held by a pause";
  if (status === "queued") return "waits for its turn";
  if (!WITH_NOTE.includes(status)) return "";
  for (const step of steps.values()) {
    if (step.address === address && step.status === status) return waitText(step.wait, step.attempt);
  }
  return "";
}

/** Whether none of the node's steps under way has been called. */
function allQueued(view: RunView, address: string): boolean {
  const queued = [...view.queued].map((id) => view.steps.get(id)).filter((step) => step?.address === address && isQueued(view, step));
  return queued.length > 0 && queued.length >= (view.nodes[address]?.counts.running ?? 0);
}

/** A node whose subgraph goes on shows what goes on there. */
function statusAt(view: RunView, address: string): NodeStatus {
  const status = statusOf(view.nodes[address], view.isUndoing);
  if (status === "running" && allQueued(view, address)) return "queued";
  if (status !== "open") return status;
  const inner = within(view, address);
  const inside = statusOf({ ...inner, counts: { ...inner.counts, open: 0 } }, view.isUndoing);
  return inside === "retrying" || inside === "waiting" || inside === "held" ? inside : "running";
}

export function nodeLive({ view }: Viewed, address: string): Omit<NodeLive, "items" | "inside"> {
  const node = view.nodes[address];
  if (!node) return IDLE;
  const status = statusAt(view, address);
  const note = noteAt(view, address, status);
  return { status, note, turns: turnsOf(node, view.isUndoing), failures: node.counts.failed };
}

/** Of a map that collects nothing only its end is told. */
export function itemsOf({ view }: Viewed, address: string): NodeLive["items"] {
  const node = view.nodes[address];
  if (!node || node.items.total === 0) return null;
  const { total, failed } = node.items;
  return statusOf(node) === "completed" ? { total, done: total - failed, failed } : node.items;
}

export function insideOf({ view }: Viewed, address: string): NodeLive["inside"] {
  if (!view.subgraphs[address]) return null;
  const inner = within(view, address);
  const { completed, failed, cancelled } = inner.counts;
  return { total: turnsOf(inner, view.isUndoing), done: completed + failed + cancelled };
}

export function edgeLive({ view }: Viewed, place: string, { source, target, always, kind }: DrawnEdge): EdgeLive {
  const to = addressAt(place, target);
  if (source === START) return view.nodes[to] ? "taken" : "untouched";
  const from = view.nodes[addressAt(place, source)];
  const passed = view.taken.has(move(addressAt(place, source), to));
  const alwaysPassed = always && (from?.counts.completed ?? 0) > 0;
  const opened = kind === "item" && (from?.items.total ?? 0) > 0;
  if (!passed && !alwaysPassed && !opened) return "untouched";
  return statusAt(view, to) === "running" ? "hot" : "taken";
}

export const liveOf = (useRun: UseRun, place: string): Live => ({
  useNode: (id) => {
    const address = addressAt(place, id);
    const live = useRun(useShallow((store) => nodeLive(store, address)));
    const items = useRun(useShallow((store) => itemsOf(store, address)));
    const inside = useRun(useShallow((store) => insideOf(store, address)));
    return { ...live, items, inside };
  },
  useEdge: (edge) => useRun((store) => edgeLive(store, place, edge)),
  open: (id) => useRun.getState().open(addressAt(place, id)),
});
