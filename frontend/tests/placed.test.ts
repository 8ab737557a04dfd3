import { expect, test } from "vitest";
import type { GraphDefinition } from "../src/graph/definition";
import { modelOf, START } from "../src/graph/model";
import type { EdgeRoute } from "../src/graph/path";
import { placed } from "../src/graph/placed";
import { reviewLoop } from "./definitions";

const PLACES: Record<string, { x: number; y: number }> = {
  extract: { x: -400, y: 10.5 },
  check: { x: 0, y: 200 },
  evaluate: { x: 0, y: 400 },
};

const withPlaces = (places: typeof PLACES): GraphDefinition => ({
  ...reviewLoop,
  nodes: Object.fromEntries(
    Object.entries(reviewLoop.nodes).map(([name, node]) => [name, places[name] ? { ...node, position: places[name] } : node]),
  ),
});

const layoutOf = (definition: GraphDefinition) => {
  const layout = placed(modelOf(definition));
  if (!layout) throw new Error("not placed");
  return layout;
};

test("nodes are drawn where their author has placed them", () => {
  const { positions } = layoutOf(withPlaces(PLACES));
  for (const [name, place] of Object.entries(PLACES)) expect(positions.get(name)).toEqual(place);
});

test("the start stands above the first node and the end below all", () => {
  const { positions } = layoutOf(withPlaces(PLACES));
  expect(positions.get(START)?.y).toBeLessThan(10.5);
  expect(positions.get("end")?.y).toBeGreaterThan(400);
});

test("one node without a position leaves the layout to the machine", () => {
  const { check: _, ...others } = PLACES;
  expect(placed(modelOf(withPlaces(others as typeof PLACES)))).toBeNull();
  expect(placed(modelOf(reviewLoop))).toBeNull();
});

test("every edge has a route from the bottom of its source to the top of its target, with its words", () => {
  const { positions, routes } = layoutOf(withPlaces(PLACES));
  const { edges } = modelOf(reviewLoop);
  expect([...routes.keys()]).toEqual(edges.map((edge) => edge.id));
  for (const edge of edges) {
    const route = routes.get(edge.id) as EdgeRoute;
    expect(route.label !== null).toBe(edge.label !== "");
    expect(route.points[0]?.y).toBeGreaterThan(positions.get(edge.source)?.y ?? Number.NaN);
    expect(route.points.at(-1)?.y).toBe(positions.get(edge.target)?.y);
  }
});

test("an edge that leads back goes round its nodes", () => {
  const { routes } = layoutOf(withPlaces(PLACES));
  const back = modelOf(reviewLoop).edges.find((edge) => edge.source === "evaluate" && edge.target === "check");
  const xs = routes.get(back?.id ?? "")?.points.map(({ x }) => x) ?? [];
  expect(Math.max(...xs)).toBeGreaterThan(236);
});

test("two edges between the same nodes do not lie on each other", () => {
  const twice: GraphDefinition = {
    name: "twice",
    start_node: "a",
    nodes: {
      a: { tool: "noop", position: { x: 0, y: 0 }, next: { condition: "ready", if_true: "b", if_false: "b" } },
      b: { tool: "noop", position: { x: 0, y: 200 } },
    },
  };
  const { routes } = layoutOf(twice);
  expect(routes.get("a/0")?.points).not.toEqual(routes.get("a/1")?.points);
});
