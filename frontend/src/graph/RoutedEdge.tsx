import { BaseEdge, type Edge, EdgeLabelRenderer, type EdgeProps } from "@xyflow/react";
import { memo } from "react";
import { useEdgeLive } from "./live";
import type { DrawnEdge } from "./model";
import { arrowAt, type EdgeRoute, pathThrough } from "./path";
import { useReadable } from "./zoom";

export type RoutedEdgeType = Edge<{ drawn: DrawnEdge; route: EdgeRoute }, "routed">;

/** An edge along the bend points that the layout found. */
export const RoutedEdge = memo(function RoutedEdge({ id, data }: EdgeProps<RoutedEdgeType>) {
  const { drawn, route } = data as NonNullable<typeof data>;
  const live = useEdgeLive(drawn);
  const label = useReadable() ? route.label : null;
  return (
    <g className="edge" data-kind={drawn.kind} data-live={live}>
      <BaseEdge id={id} path={pathThrough(route.points)} interactionWidth={0} />
      <path className="edge-arrow" d={arrowAt(route.points)} />
      {label && (
        <EdgeLabelRenderer>
          <span
            className="edge-label"
            data-kind={drawn.kind}
            data-live={live}
            style={{ transform: `translate(${label.x}px, ${label.y}px)`, width: label.width, height: label.height }}
          >
            {drawn.label}
          </span>
        </EdgeLabelRenderer>
      )}
    </g>
  );
});
