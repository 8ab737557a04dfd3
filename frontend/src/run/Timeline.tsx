import { useMemo } from "react";
import { duration, useNow } from "../ui/time";
import { spoken } from "./Chosen";
import { isOver } from "./events";
import { lanesOf } from "./lanes";
import { stretchesOf } from "./phases";
import { isInside, ROOT, splitAddress } from "./places";
import type { UseRun } from "./store";
import { isQueued, type RunView, type StepView, turnsOf, within } from "./view";
import { waitText } from "./waits";

const LANE = 7;
const TICKS = 5;
/** A bar is never thinner than this, in pixels. */
const THINNEST = 3;
/** Deeper subgraphs are indented no further. */
const DEEPEST = 3;

const beginning = ({ phases, startedAt }: StepView): number => Math.min(phases[0]?.at ?? startedAt, startedAt);

/** By address, in the order in which nodes began; what a node calls follows it. */
export function rowsOf(steps: Iterable<StepView>, place: string): Map<string, StepView[]> {
  const rows = new Map<string, StepView[]>();
  for (const step of steps) {
    if (!isInside(step.address, place)) continue;
    const row = rows.get(step.address);
    if (row) row.push(step);
    else rows.set(step.address, [step]);
  }
  const order = new Map([...rows.keys()].map((address, index) => [address, index]));
  const key = (address: string): number[] =>
    address.split("/").map((_, depth, names) => order.get(names.slice(0, depth + 1).join("/")) ?? -1);
  const keys = new Map([...rows.keys()].map((address) => [address, key(address)]));
  return new Map([...rows].sort(([a], [b]) => compare(keys.get(a) ?? [], keys.get(b) ?? [])));
}

function compare(a: number[], b: number[]): number {
  for (let depth = 0; depth < Math.min(a.length, b.length); depth += 1) {
    const difference = (a[depth] ?? 0) - (b[depth] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** A row's bars one under the other, and how many lanes they need; those of queued steps share the last. */
function placedIn(steps: StepView[], queued: boolean[], to: number): { lanes: number[]; count: number } {
  const called = steps.filter((_, index) => !queued[index]);
  const own = lanesOf(called.map((step) => ({ startedAt: beginning(step), finishedAt: step.finishedAt })), to);
  const used = Math.max(0, ...own.map((lane) => lane + 1));
  const lane = own.values();
  const lanes = queued.map((isWaiting) => (isWaiting ? used : (lane.next().value as number)));
  return { lanes, count: used + (queued.includes(true) ? 1 : 0) };
}

interface RowProps {
  view: RunView;
  address: string;
  place: string;
  steps: StepView[];
  from: number;
  to: number;
  selected: boolean;
  onSelect(): void;
}

function describe(step: StepView, isWaiting: boolean, now: number): string {
  const tries = step.attempt > 1 ? `, attempt ${step.attempt}` : "";
  const where = step.path ? ` ${step.path}` : "";
  const error = step.error ? `\n${step.error}` : "";
  const awaited = waitText(step.wait, step.attempt);
  if (isWaiting) return `${step.node}${where}: scheduled ${duration(now - step.startedAt)} ago, waits for its turn${tries}`;
  const doing = `${step.status === "open" ? "running" : step.status}${awaited && ` ${awaited}`}`;
  return `${step.node}${where}: ${doing}, ${duration((step.finishedAt ?? now) - beginning(step))}${tries}${error}`;
}

function Row({ view, address, place, steps, from, to, selected, onSelect }: RowProps) {
  const stretches = steps.map((step) => stretchesOf(step, to));
  const queued = steps.map((step) => isQueued(view, step));
  const { lanes, count } = placedIn(steps, queued, to);
  const share = (ms: number) => `${(100 * ms) / (to - from)}%`;
  const [around, node] = splitAddress(address);
  const depth = around === place ? 0 : around.slice(place === ROOT ? 0 : place.length + 1).split("/").length;
  const waiting = queued.filter(Boolean).length;
  const busy = steps.reduce((sum, step, index) => (queued[index] ? sum : sum + (step.finishedAt ?? to) - beginning(step)), 0);
  const height = count === 1 ? 2 * LANE : LANE;
  return (
    <li className="timeline-row">
      <button type="button" title={spoken(address)} aria-pressed={selected} onClick={onSelect} data-depth={Math.min(depth, DEEPEST)}>
        {node}
      </button>
      <div className="timeline-track" style={{ height: count * height + 4 }}>
        {steps.flatMap((step, index) =>
          (stretches[index] ?? []).map((stretch, part) => (
            <span
              key={`${step.id}.${part}`}
              className="timeline-bar"
              data-status={queued[index] ? "queued" : stretch.status}
              title={describe(step, queued[index] ?? false, to)}
              style={{
                left: `min(${share(Math.max(stretch.from - from, 0))}, 100% - ${THINNEST}px)`,
                minWidth: THINNEST,
                width: share(stretch.to - stretch.from),
                top: 2 + (lanes[index] ?? 0) * height,
                height: height - 1,
              }}
            />
          )),
        )}
      </div>
      <span className="timeline-sum">
        <span className="visually-hidden">
          {steps.length} steps, newest {queued.at(-1) ? "scheduled" : steps.at(-1)?.status},{waiting > 0 && ` ${waiting} of them scheduled only,`}{" "}
        </span>
        {waiting === steps.length ? "scheduled" : duration(busy)}
      </span>
    </li>
  );
}

export function Timeline({ useRun }: { useRun: UseRun }) {
  const view = useRun((store) => store.view);
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  const now = useNow(!isOver(view.status));
  const place = useRun((store) => store.place);
  const rows = useMemo(() => rowsOf(view.steps.values(), place), [view.steps, place]);
  const steps = [...rows.values()].flat();
  const total = turnsOf(within(view, place));
  const from = Math.min(...steps.map(beginning));
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
            {[...rows].map(([address, own]) => (
              <Row
                key={address}
                view={view}
                address={address}
                place={place}
                steps={own}
                from={from}
                to={to}
                selected={selected === address}
                onSelect={() => select(selected === address ? place || null : address)}
              />
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
