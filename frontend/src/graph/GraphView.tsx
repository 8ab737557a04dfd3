import "@xyflow/react/dist/style.css";
import "./graph.css";
import {
  Background,
  BackgroundVariant,
  Controls,
  MiniMap,
  type Node,
  type NodeChange,
  Position,
  ReactFlow,
} from "@xyflow/react";
import { useEffect, useMemo, useState } from "react";
import { extentOf, layOut, type Layout } from "./layout";
import type { GraphModel } from "./model";
import { RoutedEdge, type RoutedEdgeType } from "./RoutedEdge";
import { sizeOf } from "./sizes";
import { StepNode, type StepNodeType } from "./StepNode";
import { useReadable } from "./zoom";

type FrameNodeType = Node<Record<string, never>, "frame">;

const NODE_TYPES = { step: StepNode, frame: () => null };
const EDGE_TYPES = { routed: RoutedEdge };
/** Room at the bottom for the controls. */
const FIT = { padding: { top: "20px", bottom: "56px", x: "20px" }, maxZoom: 1 } as const;
const MANY_NODES = 30;
const ROLES: Record<string, string> = { start: "start of the graph", end: "end of the graph" };

function flowNodes(model: GraphModel, { positions }: Layout, selected: string | null): StepNodeType[] {
  return model.nodes.map((drawn) => {
    const { width, height } = sizeOf(drawn);
    const drawnOnly = drawn.kind in ROLES;
    return {
      id: drawn.id,
      type: "step",
      position: positions.get(drawn.id) ?? { x: 0, y: 0 },
      data: { drawn },
      width,
      height,
      selected: drawn.id === selected,
      selectable: !drawnOnly,
      focusable: !drawnOnly,
      ariaLabel: ROLES[drawn.kind] ?? [`${drawn.label}, ${drawn.kind} ${drawn.detail}`, ...drawn.marks.map(({ text }) => text)].join(", "),
      // Given ahead of the first measurement, so that edges are there with the first paint.
      handles: [
        { type: "target", position: Position.Top, x: width / 2, y: 0 },
        { type: "source", position: Position.Bottom, x: width / 2, y: height },
      ],
    };
  });
}

function flowEdges(model: GraphModel, { routes }: Layout): RoutedEdgeType[] {
  return model.edges.flatMap((drawn) => {
    const route = routes.get(drawn.id);
    const { id, source, target } = drawn;
    return route ? [{ id, source, target, type: "routed", data: { drawn, route }, focusable: false }] : [];
  });
}

/** Nothing to see: React Flow fits nodes into the view, and this one is as large as nodes and edges together. */
function frameAround(model: GraphModel, layout: Layout): FrameNodeType {
  const { x, y, width, height } = extentOf(model, layout);
  const inert = { selectable: false, focusable: false, className: "frame", domAttributes: { "aria-hidden": true } } as const;
  return { id: ":frame", type: "frame", position: { x, y }, width, height, data: {}, zIndex: -1, ...inert };
}

/** Where the view is in a large graph; from afar it would show what is there already, and cover some of it. */
function Overview() {
  if (!useReadable()) return null;
  return <MiniMap nodeClassName={({ type }) => type ?? ""} pannable zoomable nodeBorderRadius={0} ariaLabel="Map of the graph" />;
}

interface Props {
  model: GraphModel;
  selected?: string | null;
  onSelect?: (node: string | null) => void;
}

export function GraphView({ model, selected = null, onSelect }: Props) {
  const [layout, setLayout] = useState<Layout | null>(null);
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    layOut(model).then(setLayout, () => setBroken(true));
  }, [model]);
  const nodes = useMemo(() => (layout ? [frameAround(model, layout), ...flowNodes(model, layout, selected)] : []), [model, layout, selected]);
  const edges = useMemo(() => (layout ? flowEdges(model, layout) : []), [model, layout]);
  const select = (changes: NodeChange<StepNodeType | FrameNodeType>[]) => {
    let chosen = selected;
    for (const change of changes) {
      if (change.type !== "select") continue;
      if (change.selected) chosen = change.id;
      else if (change.id === chosen) chosen = null;
    }
    if (chosen !== selected) onSelect?.(chosen);
  };

  if (broken) return <p className="graph-note">The graph could not be laid out.</p>;
  if (!layout) return <p className="graph-note">Drawing the graph…</p>;
  return (
    <ReactFlow
      className="graph"
      colorMode="system"
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      edgeTypes={EDGE_TYPES}
      onNodesChange={select}
      fitView
      fitViewOptions={FIT}
      minZoom={0.02}
      maxZoom={2}
      nodesDraggable={false}
      nodesConnectable={false}
      edgesFocusable={false}
      deleteKeyCode={null}
    >
      <Background variant={BackgroundVariant.Dots} gap={20} size={1.5} />
      <Controls showInteractive={false} orientation="horizontal" fitViewOptions={FIT} />
      {model.nodes.length > MANY_NODES && <Overview />}
    </ReactFlow>
  );
}
