/**
 * Where nodes and edges go. The author may have placed the nodes; else elkjs computes it, in a worker, so that the page
 * stays responsive.
 *
 * Loops are drawn as a reader expects, the target above and the edge leading back, only with cycle breaking by model
 * order and nodes given in reading order (which `modelOf` does).
 */
import type { ELK, ElkNode } from "elkjs/lib/elk-api";
import ElkApi from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";
import type { GraphModel } from "./model";
import type { EdgeRoute, Point, Size } from "./path";
import { placed } from "./placed";
import { labelSize, sizeOf } from "./sizes";

export interface Layout {
  positions: Map<string, Point>;
  routes: Map<string, EdgeRoute>;
}

const LARGE = 300;

export function toElk(model: GraphModel): ElkNode {
  return {
    id: "root",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "DOWN",
      "elk.edgeRouting": "ORTHOGONAL",
      "elk.layered.cycleBreaking.strategy": "MODEL_ORDER",
      "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
      "elk.layered.feedbackEdges": "true",
      "elk.layered.spacing.nodeNodeBetweenLayers": "38",
      "elk.layered.spacing.edgeNodeBetweenLayers": "20",
      "elk.spacing.nodeNode": "36",
      "elk.spacing.edgeNode": "24",
      "elk.spacing.edgeEdge": "14",
      "elk.edgeLabels.placement": "CENTER",
      // NETWORK_SIMPLEX looks better and gets slow.
      "elk.layered.nodePlacement.strategy": model.nodes.length > LARGE ? "BRANDES_KOEPF" : "NETWORK_SIMPLEX",
    },
    children: model.nodes.map((node) => ({ id: node.id, ...sizeOf(node) })),
    edges: model.edges.map(({ id, source, target, label }) => ({
      id,
      sources: [source],
      targets: [target],
      labels: label ? [{ text: label, ...labelSize(label) }] : [],
    })),
  };
}

export function fromElk(laidOut: ElkNode): Layout {
  const positions = new Map((laidOut.children ?? []).map(({ id, x = 0, y = 0 }) => [id, { x, y }]));
  const routes = new Map<string, EdgeRoute>();
  for (const edge of laidOut.edges ?? []) {
    const section = edge.sections?.[0];
    if (!section) continue;
    const label = edge.labels?.[0];
    routes.set(edge.id, {
      points: [section.startPoint, ...(section.bendPoints ?? []), section.endPoint],
      label: label ? { x: label.x ?? 0, y: label.y ?? 0, width: label.width ?? 0, height: label.height ?? 0 } : null,
    });
  }
  return { positions, routes };
}

/** The box around all that is drawn. Edges and their labels go further than nodes where a loop leads back. */
export function extentOf(model: GraphModel, { positions, routes }: Layout): Point & Size {
  const corners: Point[] = [];
  const add = (box: Point & Size) => corners.push(box, { x: box.x + box.width, y: box.y + box.height });
  for (const node of model.nodes) add({ ...(positions.get(node.id) ?? { x: 0, y: 0 }), ...sizeOf(node) });
  for (const { points, label } of routes.values()) {
    corners.push(...points);
    if (label) add(label);
  }
  const [xs, ys] = [corners.map(({ x }) => x), corners.map(({ y }) => y)];
  const smallest = (values: number[]) => values.reduce((a, b) => Math.min(a, b));
  const largest = (values: number[]) => values.reduce((a, b) => Math.max(a, b));
  const [x, y] = [smallest(xs), smallest(ys)];
  return { x, y, width: largest(xs) - x, height: largest(ys) - y };
}

let elk: ELK | undefined;

export async function layOut(model: GraphModel): Promise<Layout> {
  const asPlaced = placed(model);
  if (asPlaced) return asPlaced;
  elk ??= new ElkApi({ workerUrl, workerFactory: (url) => new Worker(url ?? workerUrl) });
  return fromElk(await elk.layout(toElk(model)));
}
