/** The drawing's questions (graph/live.ts), answered from the store of a run. */
import { useShallow } from "zustand/react/shallow";
import { IDLE, type EdgeLive, type Live, type NodeLive } from "../graph/live";
import { type DrawnEdge, START } from "../graph/model";
import type { RunStore, UseRun } from "./store";
import { move, statusOf, turnsOf } from "./view";

function nodeLive({ view }: RunStore, id: string): NodeLive {
  const node = view.nodes[id];
  if (!node) return IDLE;
  return {
    status: statusOf(node),
    turns: turnsOf(node),
    failures: node.counts.failed,
    items: node.items.total > 0 ? node.items : null,
  };
}

export function edgeLive({ view }: Pick<RunStore, "view">, { source, target, always, kind }: DrawnEdge): EdgeLive {
  if (source === START) return view.nodes[target] ? "taken" : "untouched";
  const from = view.nodes[source];
  const passed = view.taken.has(move(source, target)) || (always && (from?.counts.completed ?? 0) > 0);
  const opened = kind === "item" && (from?.items.total ?? 0) > 0;
  if (!passed && !opened) return "untouched";
  return (view.nodes[target]?.counts.running ?? 0) > 0 ? "hot" : "taken";
}

export const liveOf = (useRun: UseRun): Live => ({
  useNode: (id) => useRun(useShallow((store) => nodeLive(store, id))),
  useEdge: (edge) => useRun((store) => edgeLive(store, edge)),
});
