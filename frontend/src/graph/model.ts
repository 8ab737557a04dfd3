/**
 * What is drawn of a graph: its nodes and edges with their words, in the order a reader meets them.
 *
 * A node may carry a line above (`joins`: which branches it waits for) and one below (`splits`: how it goes on).
 * `perItem` nodes run once for each item of a map.
 */
import { type Case, END, type GraphDefinition, type Join, listOf, type NodeDefinition, type Route, type Targets } from "./definition";
import { mapBodies } from "./mapBodies";
import type { Point } from "./path";

export type NodeKind = "start" | "end" | "tool" | "graph" | "human" | "wait" | "point";
export type SplitKind = "choice" | "fork" | "map" | "dynamic";
export type EdgeKind = "next" | "choice" | "item" | "gather" | "error" | "late" | "possible";

/** What is special about how a node's work is done: a sign, and words for it. */
export interface Mark {
  icon: "retrying" | "lock" | "cache" | "undo";
  text: string;
}

export interface DrawnNode {
  id: string;
  kind: NodeKind;
  label: string;
  detail: string;
  joins: string | null;
  splits: { kind: SplitKind; text: string } | null;
  perItem: boolean;
  marks: Mark[];
  /** Where the author has placed it. */
  position: Point | null;
}

export interface DrawnEdge {
  id: string;
  source: string;
  target: string;
  label: string;
  kind: EdgeKind;
  /** Whether every completed turn of the source takes this edge. */
  always: boolean;
}

export interface GraphModel {
  nodes: DrawnNode[];
  edges: DrawnEdge[];
}

/** The drawn start. No node can have this name. */
export const START = ":start";

type Draft = Omit<DrawnEdge, "id" | "source">;

const withoutEquals = (expression: unknown): string =>
  typeof expression === "string" ? expression.replace(/^=\s*/, "") : JSON.stringify(expression);

const LONGEST_LABEL = 30;
const shortened = (text: string): string =>
  text.length <= LONGEST_LABEL ? text : `${text.slice(0, LONGEST_LABEL - 1).trimEnd()}…`;

const draft = (kind: EdgeKind, label: string, targets: Targets | undefined, always = false): Draft[] =>
  listOf(targets).map((target) => ({ target, label, kind, always }));

const casesOf = (cases: Case[], fallback: Targets | undefined): Draft[] => [
  ...cases.flatMap((each) => draft("choice", shortened(each.when), each.to)),
  ...draft("choice", "otherwise", fallback),
];

function routeDrafts(route: Route | null | undefined): Draft[] {
  if (route === undefined || route === null) return draft("next", "", END, true);
  if (typeof route === "string" || Array.isArray(route)) return draft("next", "", route, true);
  if ("condition" in route) return [...draft("choice", "yes", route.if_true), ...draft("choice", "no", route.if_false)];
  if ("switch" in route) return casesOf(route.switch, route.default);
  if ("each" in route) return casesOf(route.each, route.default ?? END);
  if ("map" in route) return draft("item", "each item", route.to, true);
  return draft("possible", "may go", route.dynamic);
}

function otherDrafts(node: NodeDefinition): Draft[] {
  const { on_error: onError, human, wait } = node;
  const drafts: Draft[] = [];
  if (typeof onError === "string") drafts.push(...draft("error", "on error", onError));
  for (const handler of typeof onError === "object" ? onError : []) {
    if (typeof handler === "string") drafts.push(...draft("error", "on error", handler));
    else drafts.push(...draft("error", shortened(handler.match ? `on ${listOf(handler.match).join(", ")}` : "on error"), handler.to));
  }
  const due = human?.on_due;
  if (typeof due === "string" || Array.isArray(due)) drafts.push(...draft("late", "when due", due));
  drafts.push(...draft("late", "on timeout", wait?.on_timeout));
  for (const way of wait?.any ?? []) {
    drafts.push(...draft("choice", shortened(waitText(way)), way.next), ...draft("late", "on timeout", way.on_timeout));
  }
  return drafts;
}

function splitOf(route: Route | null | undefined): DrawnNode["splits"] {
  if (route === undefined || route === null || typeof route === "string") return null;
  if (Array.isArray(route)) return { kind: "fork", text: "in parallel" };
  if ("condition" in route) return { kind: "choice", text: route.condition };
  if ("switch" in route) return { kind: "choice", text: "the first that is true" };
  if ("each" in route) return { kind: "fork", text: "all that are true" };
  if ("map" in route) return { kind: "map", text: `for each ${route.as ?? "item"} in ${withoutEquals(route.map)}` };
  return { kind: "dynamic", text: "the tool decides" };
}

function joinText(join: Join | null | undefined): string | null {
  if (!join) return null;
  if (join === "all") return "all branches";
  if (join === "any") return "the first branch";
  return join.count === 1 ? "the first branch" : `the first ${join.count} branches`;
}

function waitText(wait: NonNullable<NodeDefinition["wait"]>): string {
  if (wait.signal) return `signal ${wait.signal}`;
  if (wait.seconds !== undefined) return `${withoutEquals(String(wait.seconds))} s`;
  if (wait.until) return `until ${withoutEquals(wait.until)}`;
  return (wait.any ?? []).map(waitText).join(" or ");
}

function kindAndDetail(node: NodeDefinition): { kind: NodeKind; detail: string } {
  if (node.tool) return { kind: "tool", detail: node.tool };
  if (node.graph !== undefined) return { kind: "graph", detail: typeof node.graph === "string" ? withoutEquals(node.graph) : "a computed graph" };
  if (node.human) return { kind: "human", detail: node.human.title ?? "a person answers" };
  if (node.wait) return { kind: "wait", detail: waitText(node.wait) };
  return { kind: "point", detail: "routing" };
}

function marksOf({ retry, lock, cache, compensate }: NodeDefinition): Mark[] {
  const marks: Mark[] = [];
  const attempts = Math.max(1, ...[retry ?? []].flat().map((policy) => policy.max_attempts ?? 1));
  if (attempts > 1) marks.push({ icon: "retrying", text: `up to ${attempts} attempts` });
  if (lock) marks.push({ icon: "lock", text: `one at a time: lock ${withoutEquals(lock)}` });
  if (cache) marks.push({ icon: "cache", text: `results are kept for ${cache.ttl_s} s` });
  if (compensate) marks.push({ icon: "undo", text: `undone by ${typeof compensate === "string" ? compensate : compensate.tool}` });
  return marks;
}

/**
 * Node names such that every edge but those that lead back in a loop goes from an earlier to a later name: the
 * reverse postorder of a depth-first walk. Branches keep the order of their list; what the start does not reach comes
 * last.
 */
function readingOrder(definition: GraphDefinition, drafts: Map<string, Draft[]>): string[] {
  const finished: string[] = [];
  const seen = new Set<string>([END]);
  // Each entry is a node on the way from the start, with its targets that are still to visit, the last first.
  const walk: { name: string; ahead: string[] }[] = [];
  const enter = (name: string) => {
    seen.add(name);
    walk.push({ name, ahead: (drafts.get(name) ?? []).map((edge) => edge.target) });
  };
  enter(definition.start_node);
  for (let here = walk.at(-1); here; here = walk.at(-1)) {
    const next = here.ahead.pop();
    if (next === undefined) finished.push((walk.pop() as typeof here).name);
    else if (!seen.has(next)) enter(next);
  }
  return [...new Set([...finished.reverse(), ...Object.keys(definition.nodes)])];
}

/** Edges of a node of a map's body that end the branch lead to where the items meet. */
const atTheGather = (drafts: Draft[], gather: string | undefined): Draft[] =>
  gather === undefined ? drafts : drafts.map((edge) => (edge.target === END ? { ...edge, target: gather, kind: "gather" } : edge));

export function modelOf(definition: GraphDefinition): GraphModel {
  const entries = Object.entries(definition.nodes);
  const drafts = new Map(entries.map(([name, node]) => [name, [...routeDrafts(node.next), ...otherDrafts(node)]]));
  const gathers = mapBodies(definition, (name) => (drafts.get(name) ?? []).map((edge) => edge.target));
  const nodes: DrawnNode[] = [
    { id: START, kind: "start", label: "Start", detail: "", joins: null, splits: null, perItem: false, marks: [], position: null },
  ];
  const edges: DrawnEdge[] = [
    { id: START, source: START, target: definition.start_node, label: "", kind: "next", always: true },
  ];
  for (const name of readingOrder(definition, drafts)) {
    const node = definition.nodes[name];
    if (!node) continue;
    nodes.push({
      id: name,
      label: node.label || name,
      joins: joinText(node.join),
      splits: splitOf(node.next),
      perItem: gathers.has(name),
      marks: marksOf(node),
      position: node.position ?? null,
      ...kindAndDetail(node),
    });
    atTheGather(drafts.get(name) ?? [], gathers.get(name)).forEach((edge, index) =>
      edges.push({ ...edge, id: `${name}/${index}`, source: name }),
    );
  }
  if (edges.some((edge) => edge.target === END)) {
    nodes.push({ id: END, kind: "end", label: "End", detail: "", joins: null, splits: null, perItem: false, marks: [], position: null });
  }
  // A draft may name targets that are not there yet.
  const drawn = new Set(nodes.map((node) => node.id));
  return { nodes, edges: edges.filter((edge) => drawn.has(edge.target)) };
}
