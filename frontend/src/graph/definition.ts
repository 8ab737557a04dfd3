/** The interchange format of a graph, as far as a drawing needs it. The server has checked it before it comes here. */

export type Targets = string | string[];

export interface Case {
  when: string;
  to: Targets;
}

export interface MapRoute {
  map: string | unknown[];
  as?: string;
  to: Targets;
  join?: string;
  collect?: Record<string, unknown> | null;
}

export type Route =
  | Targets
  | { condition: string; if_true: Targets; if_false: Targets }
  | { switch: Case[]; default?: Targets }
  | { each: Case[]; default?: Targets }
  | MapRoute
  | { dynamic: string[] };

export type Join = "all" | "any" | { count: number; rest?: "cancel" | "ignore" };

export interface WaitSpec {
  seconds?: number | string;
  until?: string;
  signal?: string;
  on_timeout?: Targets;
  any?: (WaitSpec & { next?: Targets })[];
}

interface Retry {
  max_attempts?: number;
}

export interface NodeDefinition {
  tool?: string;
  graph?: unknown;
  human?: { title?: string; on_due?: Targets | { answer: unknown } };
  wait?: WaitSpec;
  label?: string;
  position?: { x: number; y: number };
  next?: Route | null;
  join?: Join | null;
  retry?: Retry | Retry[];
  cache?: { ttl_s: number };
  lock?: string;
  compensate?: string | { tool: string };
  on_error?: Targets | { match?: string | string[]; to: Targets }[];
}

export interface GraphDefinition {
  name: string;
  start_node: string;
  nodes: Record<string, NodeDefinition>;
}

/** The target that ends a branch. */
export const END = "end";

export const listOf = (targets: Targets | undefined): string[] =>
  targets === undefined ? [] : typeof targets === "string" ? [targets] : targets;
