/** A JSON value as a tree of native disclosure widgets: keyboard and screen readers know them. */
import { type ReactNode, useState } from "react";
import type { Json } from "../run/events";

const FIRST_SHOWN = 50;
const LONG_TEXT = 120;

const typeOf = (value: Json): string => (value === null ? "null" : typeof value);

function summaryOf(value: Json[] | { [key: string]: Json }): string {
  const count = Object.keys(value).length;
  return Array.isArray(value) ? `${count} item${count === 1 ? "" : "s"}` : `${count} key${count === 1 ? "" : "s"}`;
}

function Text({ label, text }: { label: ReactNode; text: string }) {
  const long = text.length > LONG_TEXT || text.includes("\n");
  if (!long) {
    return (
      <>
        {label} <span data-type="string">{JSON.stringify(text)}</span>
      </>
    );
  }
  return (
    <details>
      <summary>
        {label} <span className="tree-hint">{text.length.toLocaleString()} characters</span>
      </summary>
      <pre>{text}</pre>
    </details>
  );
}

function Children({ value }: { value: Json[] | { [key: string]: Json } }) {
  const [shown, setShown] = useState(FIRST_SHOWN);
  const entries = Object.entries(value);
  return (
    <ul>
      {entries.slice(0, shown).map(([name, child]) => (
        <li key={name}>
          <JsonTree label={<span className="tree-key">{name}:</span>} value={child} />
        </li>
      ))}
      {entries.length > shown && (
        <li>
          <button className="link" type="button" onClick={() => setShown(shown * 4)}>
            Show more of {entries.length.toLocaleString()}
          </button>
        </li>
      )}
    </ul>
  );
}

export function JsonTree({ label, value }: { label: ReactNode; value: Json }) {
  const [open, setOpen] = useState(false);
  if (typeof value === "string") return <Text label={label} text={value} />;
  if (value === null || typeof value !== "object") {
    return (
      <>
        {label} <span data-type={typeOf(value)}>{String(value)}</span>
      </>
    );
  }
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {label} <span className="tree-hint">{summaryOf(value)}</span>
      </summary>
      {open && <Children value={value} />}
    </details>
  );
}
