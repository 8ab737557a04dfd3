/**
 * Where nodes and edges go. elkjs computes it, in a worker, so that the page stays responsive.
 *
 * Loops are drawn as a reader expects, the target above and the edge leading back, only with cycle breaking by model
 * order and nodes given in reading order (which `modelOf` does).
 */
import type { ELK, ElkNode } from "elkjs/lib/elk-api";
import ElkApi from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";
import type { DrawnNode, GraphModel } from "./model";
import type { EdgeRoute, Point, Size } from "./path";

export interface Layout {
  positions: Map<string, Point>;
  routes: Map<string, EdgeRoute>;
}

const LINE = 26;
const BODY = 54;
const WIDTH = 236;
const LABEL_HEIGHT = 18;
const LABEL_LETTER = 6.8;
const LARGE = 300;

/** A node's size in pixels; graph.css draws it with the same numbers. */
export function sizeOf(node: DrawnNode): Size {
  if (node.kind === "start") return { width: 28, height: 28 };
  if (node.kind === "end") return { width: 64, height: 28 };
  return { width: WIDTH, height: BODY + (node.joins ? LINE : 0) + (node.splits ? LINE : 0) };
}

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
      labels: label ? [{ text: label, width: Math.ceil(label.length * LABEL_LETTER) + 18, height: LABEL_HEIGHT }] : [],
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

let elk: ELK | undefined;

export async function layOut(model: GraphModel): Promise<Layout> {
  elk ??= new ElkApi({ workerUrl, workerFactory: (url) => new Worker(url ?? workerUrl) });
  return fromElk(await elk.layout(toElk(model)));
}
