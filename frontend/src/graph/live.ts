/**
 * What happens at a node or an edge right now. The drawing asks through this context, so that each node renders again
 * only when its own answer changes, and a page without a run draws the same graph with no answers.
 */
import { createContext, useContext } from "react";
import type { DrawnEdge } from "./model";

export interface NodeLive {
  status: string;
  /** What it waits for, in words; empty if it does not. */
  note: string;
  turns: number;
  failures: number;
  items: { total: number; done: number; failed: number } | null;
  /** Steps of what it calls. */
  inside: { total: number; done: number } | null;
}

export type EdgeLive = "untouched" | "taken" | "hot";

export interface Live {
  useNode(id: string): NodeLive;
  useEdge(edge: DrawnEdge): EdgeLive;
  /** Shows what a node calls, of which something has begun. */
  open(id: string): void;
}

export const IDLE: NodeLive = { status: "idle", note: "", turns: 0, failures: 0, items: null, inside: null };

export const LiveContext = createContext<Live>({ useNode: () => IDLE, useEdge: () => "untouched", open: () => undefined });

export const useNodeLive = (id: string): NodeLive => useContext(LiveContext).useNode(id);
export const useEdgeLive = (edge: DrawnEdge): EdgeLive => useContext(LiveContext).useEdge(edge);

/** The pages of the graphs that nodes call, by the names of the nodes. */
export const PagesContext = createContext<Readonly<Record<string, string>>>({});
