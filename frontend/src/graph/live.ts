/**
 * What happens at a node or an edge right now. The drawing asks through this context, so that each node renders again
 * only when its own answer changes, and a page without a run draws the same graph with no answers.
 */
import { createContext, useContext } from "react";
import type { DrawnEdge } from "./model";

export interface NodeLive {
  status: string;
  turns: number;
  failures: number;
  items: { total: number; done: number; failed: number } | null;
}

export type EdgeLive = "untouched" | "taken" | "hot";

export interface Live {
  useNode(id: string): NodeLive;
  useEdge(edge: DrawnEdge): EdgeLive;
}

export const IDLE: NodeLive = { status: "idle", turns: 0, failures: 0, items: null };

export const LiveContext = createContext<Live>({ useNode: () => IDLE, useEdge: () => "untouched" });

export const useNodeLive = (id: string): NodeLive => useContext(LiveContext).useNode(id);
export const useEdgeLive = (edge: DrawnEdge): EdgeLive => useContext(LiveContext).useEdge(edge);
