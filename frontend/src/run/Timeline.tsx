import { useMemo } from "react";
import { duration, useNow } from "../ui/time";
import { isOver } from "./events";
import { lanesOf } from "./lanes";
import type { UseRun } from "./store";
import { type StepView, turnsOf } from "./view";

const LANE = 7;
const TICKS = 5;
/** A bar is never thinner than this, in pixels. */
const THINNEST = 3;

function rowsOf(steps: Map<string, StepView>): Map<string, StepView[]> {
  const rows = new Map<string, StepView[]>();
  for (const step of steps.values()) {
    const row = rows.get(step.node);
    if (row) row.push(step);
    else rows.set(step.node, [step]);
  }
  return rows;
}

interface RowProps {
  node: string;
  steps: StepView[];
  from: number;
  to: number;
  selected: boolean;
  onSelect(): void;
}

function describe(step: StepView, now: number): string {
  const tries = step.attempt > 1 ? `, attempt ${step.attempt}` : "";
  const where = step.path ? ` ${step.path}` : "";
  const error = step.error ? `\n${step.error}` : "";
  return `${step.node}${where}: ${step.status}, ${duration((step.finishedAt ?? now) - step.startedAt)}${tries}${error}`;
}

function Row({ node, steps, from, to, selected, onSelect }: RowProps) {
  const lanes = lanesOf(steps, to);
  const count = Math.max(...lanes) + 1;
  const share = (ms: number) => `${(100 * ms) / (to - from)}%`;
  const busy = steps.reduce((sum, step) => sum + (step.finishedAt ?? to) - step.startedAt, 0);
  const height = count === 1 ? 2 * LANE : LANE;
  return (
    <li className="timeline-row">
      <button type="button" title={node} aria-pressed={selected} onClick={onSelect}>
        {node}
      </button>
      <div className="timeline-track" style={{ height: count * height + 4 }}>
        {steps.map((step, index) => (
          <span
            key={step.id}
            className="timeline-bar"
            data-status={step.status}
            title={describe(step, to)}
            style={{
              left: `min(${share(Math.max(step.startedAt - from, 0))}, 100% - ${THINNEST}px)`,
              minWidth: THINNEST,
              width: share((step.finishedAt ?? to) - step.startedAt),
              top: 2 + (lanes[index] ?? 0) * height,
              height: height - 1,
            }}
          />
        ))}
      </div>
      <span className="timeline-sum">
        <span className="visually-hidden">
          {steps.length} steps, newest {steps.at(-1)?.status},{" "}
        </span>
        {duration(busy)}
      </span>
    </li>
  );
}

export function Timeline({ useRun }: { useRun: UseRun }) {
  const view = useRun((store) => store.view);
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  const now = useNow(!isOver(view.status));
  const rows = useMemo(() => rowsOf(view.steps), [view.steps]);
  const steps = [...view.steps.values()];
  const total = Object.values(view.nodes).reduce((sum, node) => sum + turnsOf(node), 0);
  const from = Math.min(...steps.map((step) => step.startedAt));
  const latest = Math.max(...steps.map((step) => step.finishedAt ?? (isOver(view.status) ? step.startedAt : now)));
  const to = Math.max(latest, from + 1);
  return (
    <section className="card run-timeline" aria-labelledby="timeline-title">
      <header>
        <h2 id="timeline-title">Timeline</h2>
        {steps.length < total && (
          <span className="muted small">
            the newest {steps.length.toLocaleString()} of {total.toLocaleString()} steps
          </span>
        )}
      </header>
      {steps.length === 0 ? (
        <p className="empty">No step has started yet.</p>
      ) : (
        <div className="timeline" tabIndex={0} role="group" aria-labelledby="timeline-title">
          <div className="timeline-axis" aria-hidden="true">
            <span className="timeline-ticks">
              {Array.from({ length: TICKS }, (_, tick) => (
                <span key={tick}>{tick === 0 ? "0" : duration(((to - from) * tick) / (TICKS - 1))}</span>
              ))}
            </span>
          </div>
          <ul data-testid="timeline">
            {[...rows].map(([node, own]) => (
              <Row
                key={node}
                node={node}
                steps={own}
                from={from}
                to={to}
                selected={selected === node}
                onSelect={() => select(selected === node ? null : node)}
              />
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
