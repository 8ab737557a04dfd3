import Elk from "elkjs/lib/elk.bundled.js";
import { expect, test } from "vitest";
import type { GraphDefinition } from "../src/graph/definition";
import { extentOf, fromElk, toElk } from "../src/graph/layout";
import { modelOf } from "../src/graph/model";
import { arrowAt, pathThrough } from "../src/graph/path";
import { sizeOf } from "../src/graph/sizes";
import { diamond, mapped, reviewLoop } from "./definitions";

const laidOut = async (definition: GraphDefinition) => {
  const { positions, routes } = fromElk(await new Elk().layout(toElk(modelOf(definition))));
  const y = (id: string): number => positions.get(id)?.y ?? Number.NaN;
  const x = (id: string): number => positions.get(id)?.x ?? Number.NaN;
  return { x, y, routes };
};

test("the target of a loop is drawn above the node that leads back to it", async () => {
  const { y } = await laidOut(reviewLoop);
  expect([y("extract"), y("check"), y("evaluate"), y("end")]).toEqual(
    [y("extract"), y("check"), y("evaluate"), y("end")].toSorted((a, b) => a - b),
  );
});

test("branches of a fork stand side by side in the order of their list", async () => {
  const { x, y } = await laidOut(diamond);
  expect(y("left")).toBe(y("right"));
  expect(x("left")).toBeLessThan(x("right"));
  expect(y("meet")).toBeGreaterThan(y("left"));
});

test("a join stands below all its branches, however long they are", async () => {
  const nodes = { ...diamond.nodes, right: { tool: "echo", next: "further" }, further: { tool: "echo", next: "meet" } };
  const { y } = await laidOut({ ...diamond, nodes });
  expect(y("meet")).toBeGreaterThan(y("further"));
});

test("where the items of a map meet is below their work", async () => {
  const { y } = await laidOut(mapped);
  expect(y("gather")).toBeGreaterThan(y("polish"));
});

test("every edge has a route, and a label where it has words", async () => {
  const { routes } = await laidOut(reviewLoop);
  const { edges } = modelOf(reviewLoop);
  expect([...routes.keys()]).toEqual(edges.map((edge) => edge.id));
  for (const edge of edges) expect(routes.get(edge.id)?.label !== null).toBe(edge.label !== "");
});

test("what has to fit into the view is all that is drawn, edges that lead back too", async () => {
  const model = modelOf(reviewLoop);
  const layout = fromElk(await new Elk().layout(toElk(model)));
  const { x, y, width, height } = extentOf(model, layout);
  const points = [...layout.routes.values()].flatMap((route) => route.points);
  for (const point of points) {
    expect(point.x).toBeGreaterThanOrEqual(x);
    expect(point.x).toBeLessThanOrEqual(x + width);
    expect(point.y).toBeGreaterThanOrEqual(y);
    expect(point.y).toBeLessThanOrEqual(y + height);
  }
  const rightOfNodes = Math.max(...model.nodes.map((node) => (layout.positions.get(node.id)?.x ?? 0) + sizeOf(node).width));
  expect(x + width).toBeGreaterThan(rightOfNodes);
});

test("a path is straight between two points and round at a corner", () => {
  expect(pathThrough([{ x: 0, y: 0 }, { x: 0, y: 50 }])).toBe("M0,0L0,50");
  expect(pathThrough([{ x: 0, y: 0 }, { x: 0, y: 50 }, { x: 40, y: 50 }])).toBe("M0,0L0,40Q0,50 10,50L40,50");
});

test("an arrow points the way of the last stretch", () => {
  expect(arrowAt([{ x: 0, y: 0 }, { x: 0, y: 50 }])).toBe("M0,50L-4.5,41L4.5,41Z");
});
