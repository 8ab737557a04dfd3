import { JsonTree } from "../ui/JsonTree";
import type { UseRun } from "./store";

/** How many of the newest events mark the keys that they wrote. */
const FRESH_EVENTS = 3;

export function StateInspector({ useRun }: { useRun: UseRun }) {
  const state = useRun((store) => store.state);
  const written = useRun((store) => store.view.written);
  const seq = useRun((store) => store.view.seq);
  const entries = Object.entries(state?.values ?? {});
  const copy = () => void navigator.clipboard.writeText(JSON.stringify(state?.values ?? {}, null, 2));
  return (
    <section className="card run-state" aria-labelledby="state-title">
      <header>
        <h2 id="state-title">State</h2>
        <button type="button" className="link small muted" onClick={copy}>
          Copy as JSON
        </button>
      </header>
      {state === null && <p className="empty">Reading the state…</p>}
      {state !== null && entries.length === 0 && <p className="empty">The state has no keys.</p>}
      {state !== null && entries.length > 0 && (
        <ul className="tree" data-testid="state" tabIndex={0} aria-labelledby="state-title">
          {entries.map(([key, value]) => (
            <li key={key}>
              <JsonTree label={<span className="tree-key">{key}:</span>} value={value} />
              {state.conflicts.includes(key) && (
                <span className="tree-conflict" title="Parallel branches have set this key differently">
                  conflict
                </span>
              )}
              {(written[key] ?? -FRESH_EVENTS) > seq - FRESH_EVENTS && <span className="tree-new">new</span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
