/**
 * Where nodes and edges go when the author has placed all nodes: `position` in the definition is a node's upper left
 * corner.
 *
 * The start stands above the first node and the end below all of them. An edge leaves at the bottom and arrives at the
 * top. If it leads down it bends right above its target, if it leads up it goes round both nodes on the right. A node
 * in the way is drawn over it.
 */
import type { Layout } from "./layout";
import { type DrawnEdge, type DrawnNode, type GraphModel, START } from "./model";
import type { EdgeRoute, Point, Size } from "./path";
import { labelSize, sizeOf } from "./sizes";

type Box = Point & Size;
type Boxes = Map<string, Box>;

const GAP = 38;
const BEND = 18;
/** Between edges that lead from one node to the same other one. */
const BESIDE = 14;

/** The author's layout, or null where a node has no position. */
export function placed(model: GraphModel): Layout | null {
  const boxes: Boxes = new Map();
  const others: DrawnNode[] = [];
  for (const node of model.nodes) {
    if (node.position) boxes.set(node.id, { ...node.position, ...sizeOf(node) });
    else others.push(node);
  }
  if (boxes.size === 0 || others.some(({ kind }) => kind !== "start" && kind !== "end")) return null;
  for (const [node, at] of others.map((node) => [node, besides(node, model.edges, boxes)] as const)) {
    boxes.set(node.id, { ...at, ...sizeOf(node) });
  }
  return { positions: new Map([...boxes].map(([id, { x, y }]) => [id, { x, y }])), routes: routesOf(model.edges, boxes) };
}

/** The place of the drawn start or end, which stand straight above or below a node that they are tied to. */
function besides(node: DrawnNode, edges: DrawnEdge[], boxes: Boxes): Point {
  const isStart = node.id === START;
  const tie = edges.find((edge) => (isStart ? edge.source : edge.target) === node.id);
  const tied = boxes.get((isStart ? tie?.target : tie?.source) ?? "") ?? { x: 0, y: 0, width: 0, height: 0 };
  const { width, height } = sizeOf(node);
  const bottom = Math.max(...[...boxes.values()].map((box) => box.y + box.height));
  return { x: tied.x + (tied.width - width) / 2, y: isStart ? tied.y - GAP - height : bottom + GAP };
}

function routesOf(edges: DrawnEdge[], boxes: Boxes): Map<string, EdgeRoute> {
  const drawn = new Map<string, number>();
  const routes = new Map<string, EdgeRoute>();
  for (const { id, source, target, label } of edges) {
    const [from, to] = [boxes.get(source), boxes.get(target)];
    if (!from || !to) continue;
    const pair = JSON.stringify([source, target]);
    const before = drawn.get(pair) ?? 0;
    drawn.set(pair, before + 1);
    const points = pointsBetween(from, to, before * BESIDE);
    routes.set(id, { points, label: label ? labelOn(points, label) : null });
  }
  return routes;
}

function pointsBetween(from: Box, to: Box, aside: number): Point[] {
  const start = { x: from.x + from.width / 2 + aside, y: from.y + from.height };
  const end = { x: to.x + to.width / 2 + aside, y: to.y };
  if (end.y < start.y + BEND) {
    const [x, below, above] = [Math.max(from.x + from.width, to.x + to.width) + BEND + aside, start.y + BEND, end.y - BEND];
    return [start, { x: start.x, y: below }, { x, y: below }, { x, y: above }, { x: end.x, y: above }, end];
  }
  if (start.x === end.x) return [start, end];
  const y = end.y - BEND;
  return [start, { x: start.x, y }, { x: end.x, y }, end];
}

/** The label in the middle of the middle stretch. */
function labelOn(points: Point[], text: string): Box {
  const second = Math.floor(points.length / 2);
  const [a, b] = [points[second - 1] as Point, points[second] as Point];
  const { width, height } = labelSize(text);
  return { x: (a.x + b.x - width) / 2, y: (a.y + b.y - height) / 2, width, height };
}
