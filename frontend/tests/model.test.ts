import { expect, test } from "vitest";
import type { GraphDefinition, NodeDefinition } from "../src/graph/definition";
import { type DrawnEdge, modelOf, START } from "../src/graph/model";
import { diamond, mapped, reviewLoop } from "./definitions";

const one = (node: NodeDefinition): GraphDefinition => ({
  name: "g",
  start_node: "a",
  nodes: { a: node, b: { tool: "echo" }, c: { tool: "echo" } },
});
const shown = ({ source, target, label, kind }: DrawnEdge) => `${source} -${kind}${label && `: ${label}`}-> ${target}`;
const edgesOf = (node: NodeDefinition) =>
  modelOf(one(node))
    .edges.filter((edge) => edge.source === "a")
    .map(shown);
const nodeOf = (definition: GraphDefinition, id: string) => modelOf(definition).nodes.find((node) => node.id === id);

test("nodes come in the order in which a reader meets them, whatever the order of the keys", () => {
  expect(modelOf(reviewLoop).nodes.map((node) => node.id)).toEqual([START, "extract", "check", "evaluate", "end"]);
});

test("a join comes after the longest of its branches, and branches in the order of their list", () => {
  const nodes = {
    ...diamond.nodes,
    right: { tool: "echo", next: "further" },
    further: { tool: "echo", next: "meet" },
  };
  const names = modelOf({ ...diamond, nodes }).nodes.map((node) => node.id);
  expect(names).toEqual([START, "start", "left", "right", "further", "meet", "end"]);
});

test("a chain of thousands of nodes is no problem", () => {
  const nodes = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`n${i}`, { tool: "t", next: `n${i + 1}` }]));
  nodes.n5000 = { tool: "t", next: "end" };
  expect(modelOf({ name: "g", start_node: "n0", nodes }).nodes.at(-2)?.id).toBe("n5000");
});

test("a node that nothing leads to is drawn last", () => {
  const definition = { ...reviewLoop, nodes: { alone: { tool: "echo", next: "extract" }, ...reviewLoop.nodes } };
  expect(modelOf(definition).nodes.map((node) => node.id)).toEqual([START, "extract", "check", "evaluate", "alone", "end"]);
});

test("a choice shows its condition at the node and yes and no at its edges", () => {
  expect(nodeOf(reviewLoop, "evaluate")?.splits).toEqual({ kind: "choice", text: "quality_score >= 7" });
  expect(modelOf(reviewLoop).edges.filter((edge) => edge.source === "evaluate").map(shown)).toEqual([
    "evaluate -choice: yes-> end",
    "evaluate -choice: no-> check",
  ]);
});

test.each<[string, NodeDefinition, string[]]>([
  ["nothing ends the branch", { tool: "t" }, ["a -next-> end"]],
  ["null ends the branch", { tool: "t", next: null }, ["a -next-> end"]],
  ["a name", { tool: "t", next: "b" }, ["a -next-> b"]],
  ["a fork", { tool: "t", next: ["b", "c"] }, ["a -next-> b", "a -next-> c"]],
  [
    "a switch",
    { next: { switch: [{ when: "n > 1", to: "b" }, { when: "n > 0", to: ["b", "c"] }], default: "end" } },
    ["a -choice: n > 1-> b", "a -choice: n > 0-> b", "a -choice: n > 0-> c", "a -choice: otherwise-> end"],
  ],
  ["a switch without default", { next: { switch: [{ when: "n", to: "b" }] } }, ["a -choice: n-> b"]],
  ["an each without default", { next: { each: [{ when: "n", to: "b" }] } }, ["a -choice: n-> b", "a -choice: otherwise-> end"]],
  ["dynamic targets", { tool: "t", next: { dynamic: ["b", "c"] } }, ["a -possible: may go-> b", "a -possible: may go-> c"]],
  ["an error handler", { tool: "t", next: "b", on_error: "c" }, ["a -next-> b", "a -error: on error-> c"]],
  [
    "error handlers by name",
    { tool: "t", next: "b", on_error: [{ match: "HTTPError", to: "c" }, { to: "b" }] },
    ["a -next-> b", "a -error: on HTTPError-> c", "a -error: on error-> b"],
  ],
  ["a deadline for people", { human: { on_due: "c" }, next: "b" }, ["a -next-> b", "a -late: when due-> c"]],
  ["an answer when due is no edge", { human: { on_due: { answer: 1 } }, next: "b" }, ["a -next-> b"]],
  [
    "the first of several waits",
    { wait: { any: [{ signal: "paid", next: "c" }, { seconds: 60 }] }, next: "b" },
    ["a -next-> b", "a -choice: signal paid-> c"],
  ],
])("edges of %s", (_, node, expected) => {
  expect(edgesOf(node)).toEqual(expected);
});

test("a fork and the join that collects it are named at their nodes", () => {
  expect(nodeOf(diamond, "start")?.splits?.kind).toBe("fork");
  expect(nodeOf(diamond, "meet")?.joins).toBe("all branches");
});

test.each([
  ["any", "the first branch"],
  [{ count: 1 }, "the first branch"],
  [{ count: 3 }, "the first 3 branches"],
] as const)("the join %j waits for %s", (join, words) => {
  expect(nodeOf(one({ tool: "t", join }), "a")?.joins).toBe(words);
});

test("how a node's work is done is marked, each mark with words", () => {
  const node = { tool: "t", retry: { max_attempts: 5 }, lock: "= account", cache: { ttl_s: 60 }, compensate: { tool: "refund" } };
  expect(nodeOf(one(node), "a")?.marks).toEqual([
    { icon: "retrying", text: "up to 5 attempts" },
    { icon: "lock", text: "one at a time: lock account" },
    { icon: "cache", text: "results are kept for 60 s" },
    { icon: "undo", text: "undone by refund" },
  ]);
  expect(nodeOf(one({ tool: "t", retry: { max_attempts: 1 } }), "a")?.marks).toEqual([]);
});

test("a wait says what for, a call what is called", () => {
  expect(nodeOf(one({ wait: { any: [{ signal: "paid" }, { seconds: 60 }] } }), "a")?.detail).toBe("signal paid or 60 s");
  expect(nodeOf(one({ graph: "review@7" }), "a")?.detail).toBe("review@7");
  expect(nodeOf(one({ graph: "= made" }), "a")?.detail).toBe("made");
});

test("nodes of a map's body run per item, and their ends lead to where the items meet", () => {
  const perItem = modelOf(mapped).nodes.filter((node) => node.perItem);
  expect(perItem.map((node) => node.id)).toEqual(["work", "polish"]);
  expect(modelOf(mapped).edges.map(shown)).toContain("polish -gather-> gather");
});

test("a map without join meets at the first node that all ways pass", () => {
  const nodes: Record<string, NodeDefinition> = {
    split: { tool: "t", next: { map: "= items", to: "a" } },
    a: { tool: "t", next: { condition: "item > 1", if_true: "b", if_false: "c" } },
    b: { tool: "t", next: "meet" },
    c: { tool: "t", next: "meet" },
    meet: { tool: "t", next: "after" },
    after: { tool: "t" },
  };
  const { nodes: drawn } = modelOf({ name: "g", start_node: "split", nodes });
  expect(drawn.filter((node) => node.perItem).map((node) => node.id)).toEqual(["a", "b", "c"]);
});

test("a node that outer branches use too is not drawn per item", () => {
  const nodes = { ...mapped.nodes, start: { tool: "t", next: ["split", "polish"] } };
  const { nodes: drawn } = modelOf({ ...mapped, start_node: "start", nodes });
  expect(drawn.filter((node) => node.perItem).map((node) => node.id)).toEqual(["work"]);
});

test("a fork list inside a map's reach is not mistaken for a map", () => {
  expect(modelOf(diamond).nodes.some((node) => node.perItem)).toBe(false);
});

test("an edge of a draft to a node that is missing is left out", () => {
  expect(edgesOf({ tool: "t", next: ["b", "nowhere"] })).toEqual(["a -next-> b"]);
});

test("only unconditional edges are always taken", () => {
  const always = modelOf(reviewLoop).edges.filter((edge) => edge.always);
  expect(always.map(shown)).toEqual([":start -next-> extract", "extract -next-> check", "check -next-> evaluate"]);
});
