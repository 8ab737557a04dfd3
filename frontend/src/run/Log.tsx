import { useEffect, useRef, useState } from "react";
import { Icon } from "../ui/Icon";
import { clock } from "../ui/time";
import { Chosen } from "./Chosen";
import type { UseRun } from "./store";

const SHOWN_LINES = 400;
/** How near the end, in pixels, still counts as reading the newest line. */
const NEAR = 24;

export function Log({ useRun }: { useRun: UseRun }) {
  const lines = useRun((store) => store.view.log);
  const output = useRun((store) => store.output);
  const selected = useRun((store) => store.selected);
  const list = useRef<HTMLOListElement>(null);
  const [follows, setFollows] = useState(true);
  const isShown = ({ node }: { node: string | null }) => selected === null || node === selected;
  const shown = lines.filter(isShown).slice(-SHOWN_LINES);
  const streams = Object.entries(output).filter(([, stream]) => isShown(stream));

  useEffect(() => {
    if (follows && list.current) list.current.scrollTop = list.current.scrollHeight;
  });
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = list.current as HTMLOListElement;
    setFollows(scrollTop + clientHeight >= scrollHeight - NEAR);
  };
  return (
    <section className="card run-log" aria-labelledby="log-title">
      <header>
        <h2 id="log-title">Log</h2>
        <Chosen useRun={useRun} />
        {!follows && (
          <button type="button" className="chip" onClick={() => setFollows(true)}>
            <Icon name="down" />
            Newest
          </button>
        )}
      </header>
      <ol className="log" ref={list} onScroll={scrolled} role="log" tabIndex={0} aria-labelledby="log-title" data-testid="log">
        {shown.map((line) => (
          <li key={line.key} data-tone={line.tone}>
            <time dateTime={new Date(line.at).toISOString()}>{clock(line.at)}</time>
            <span>{line.text}</span>
          </li>
        ))}
        {streams.map(([step, { node, text }]) => (
          <li key={step} data-tone="said">
            <em>{node}</em>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
