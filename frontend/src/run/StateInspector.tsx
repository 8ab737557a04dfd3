import { useEffect, useState } from "react";
import { JsonTree } from "../ui/JsonTree";
import type { Boot, StateView } from "./events";
import { below, ROOT } from "./places";
import type { UseRun } from "./store";
import type { RunView, StepView } from "./view";
import { read } from "./watch";

/** How many of the newest events mark the keys that they wrote. */
const FRESH_EVENTS = 3;
const SETTLED_MS = 400;

/** The newest step that opened the subgraph at a place. */
export function callerAt({ steps }: RunView, place: string): StepView | null {
  const calls = place === ROOT ? [] : [...steps.values()].filter(({ address, status }) => address === place && status !== "running");
  return calls.at(-1) ?? null;
}

/** The state of the subgraph that a step opened, read again when something has happened; null until it is here. */
function useStateWithin(boot: Boot, useRun: UseRun, step: string | null): StateView | "missing" | null {
  const seq = useRun((store) => store.view.seq);
  const [known, setKnown] = useState<{ step: string; state: StateView | "missing" } | null>(null);
  useEffect(() => {
    if (step === null) return;
    let isWanted = true;
    const timer = setTimeout(async () => {
      const state = await read<StateView>(`${boot.urls.state}?within=${step}`);
      if (isWanted) setKnown({ step, state: state ?? "missing" });
    }, known?.step === step ? SETTLED_MS : 0);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
    // `known` only says whether it is urgent.
  }, [boot, step, seq]);
  return known !== null && known.step === step ? known.state : null;
}

interface KeysProps {
  state: StateView;
  isNew(key: string): boolean;
}

function Keys({ state, isNew }: KeysProps) {
  const entries = Object.entries(state.values);
  if (entries.length === 0) return <p className="empty">The state has no keys.</p>;
  return (
    <ul className="tree" data-testid="state" tabIndex={0} aria-labelledby="state-title">
      {entries.map(([key, value]) => (
        <li key={key}>
          <JsonTree label={<span className="tree-key">{key}:</span>} value={value} />
          {state.conflicts.includes(key) && (
            <span className="tree-conflict" title="Parallel branches have set this key differently">
              conflict
            </span>
          )}
          {isNew(key) && <span className="tree-new">new</span>}
        </li>
      ))}
    </ul>
  );
}

/** The state of the run, or of the subgraph whose drawing is open. */
export function StateInspector({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const root = useRun((store) => store.state);
  const written = useRun((store) => store.view.written);
  const seq = useRun((store) => store.view.seq);
  const place = useRun((store) => store.place);
  const caller = useRun((store) => callerAt(store.view, store.place));
  const inner = useStateWithin(boot, useRun, caller?.id ?? null);
  const state = place === ROOT ? root : caller === null ? "missing" : inner;
  const values = state === null || state === "missing" ? null : state.values;
  const copy = () => void navigator.clipboard.writeText(JSON.stringify(values ?? {}, null, 2));
  const isNew = (key: string) => place === ROOT && (written[key] ?? -FRESH_EVENTS) > seq - FRESH_EVENTS;
  return (
    <section className="card run-state" aria-labelledby="state-title">
      <header>
        <h2 id="state-title">State{caller && <span className="muted"> of {below(caller.path, caller.node)}</span>}</h2>
        <button type="button" className="link small muted" onClick={copy}>
          Copy as JSON
        </button>
      </header>
      {state === null && <p className="empty">Reading the state…</p>}
      {state === "missing" && <p className="empty">The state of this subgraph cannot be read any more.</p>}
      {state !== null && state !== "missing" && <Keys state={state} isNew={isNew} />}
    </section>
  );
}
