import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { memo, useContext } from "react";
import { Icon } from "../ui/Icon";
import { LiveContext, type NodeLive, PagesContext, useNodeLive } from "./live";
import type { DrawnNode } from "./model";
import { useDetail } from "./zoom";

export type StepNodeType = Node<{ drawn: DrawnNode }, "step">;

const SPLIT_ICONS = { choice: "choice", fork: "fork", map: "map", dynamic: "dynamic" };

function Badges({ live }: { live: NodeLive }) {
  return (
    <span className="node-badges">
      {live.failures > 0 && live.status !== "failed" && (
        <span className="badge badge-bad" title="Turns that failed">
          <Icon name="failed" />
          {live.failures}
        </span>
      )}
      {live.items && (
        <span className="badge" title="Items done">
          {live.items.done + live.items.failed}/{live.items.total}
        </span>
      )}
      {live.inside && (
        <span className="badge" title="Steps done in the graph it calls">
          <Icon name="graph" />
          {live.inside.done}/{live.inside.total}
        </span>
      )}
      {live.turns > 1 && (
        <span className="badge" title="Turns">
          ×{live.turns}
        </span>
      )}
    </span>
  );
}

/** What the node does, or what it waits for; what it calls can be opened once it has begun, or has a page to go to. */
function Detail({ drawn, live }: { drawn: DrawnNode; live: NodeLive }) {
  const { open } = useContext(LiveContext);
  const page = useContext(PagesContext)[drawn.id];
  const words = live.note || drawn.detail;
  if (live.inside) {
    return (
      <button type="button" className="node-detail node-open nodrag nopan" onClick={() => open(drawn.id)} aria-label={`Open ${drawn.label}`}>
        {words}
        <Icon name="enter" />
      </button>
    );
  }
  if (page) {
    return (
      <a className="node-detail node-open nodrag nopan" href={page}>
        {words}
        <Icon name="enter" />
      </a>
    );
  }
  return (
    <span className="node-detail" title={live.note || undefined}>
      {words}
    </span>
  );
}

function Marks({ marks }: Pick<DrawnNode, "marks">) {
  if (marks.length === 0) return null;
  return (
    <span className="node-marks">
      {marks.map(({ icon, text }) => (
        <span key={icon} title={text} role="img" aria-label={text}>
          <Icon name={icon} />
        </span>
      ))}
    </span>
  );
}

function Words({ drawn, live }: { drawn: DrawnNode; live: NodeLive }) {
  if (drawn.kind === "start") return <Icon name="start" />;
  if (drawn.kind === "end") return <span className="node-label">End</span>;
  return (
    <>
      {drawn.joins && (
        <span className="node-line node-joins">
          <Icon name="join" />
          waits for {drawn.joins}
        </span>
      )}
      <span className="node-body">
        <span className="node-icon">
          <Icon name={live.status === "idle" ? drawn.kind : live.status} />
        </span>
        <span className="node-words">
          <span className="node-label">{drawn.label}</span>
          {live.status !== "idle" && <span className="visually-hidden">{live.status}</span>}
          <Detail drawn={drawn} live={live} />
        </span>
        <Marks marks={drawn.marks} />
      </span>
      {drawn.splits && (
        <span className="node-line node-splits" title={drawn.splits.text}>
          <Icon name={SPLIT_ICONS[drawn.splits.kind]} />
          <span className="node-expression">{drawn.splits.text}</span>
        </span>
      )}
      <Badges live={live} />
    </>
  );
}

export const StepNode = memo(function StepNode({ id, data: { drawn }, selected }: NodeProps<StepNodeType>) {
  const live = useNodeLive(id);
  const detail = useDetail();
  return (
    <div
      className="node"
      data-kind={drawn.kind}
      data-status={live.status}
      data-per-item={drawn.perItem || undefined}
      data-selected={selected || undefined}
      data-testid={`node-${id}`}
    >
      <Handle type="target" position={Position.Top} isConnectable={false} />
      {detail === "words" && <Words drawn={drawn} live={live} />}
      {detail === "name" && drawn.kind !== "start" && drawn.kind !== "end" && <span className="node-name">{drawn.label}</span>}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
});
