import { useEffect, useRef, useState } from "react";
import { Icon } from "../ui/Icon";
import { clock } from "../ui/time";
import { Chosen } from "./Chosen";
import type { Boot } from "./events";
import { isInside } from "./places";
import type { UseRun } from "./store";

const SHOWN_LINES = 400;
/** How near the end, in pixels, still counts as reading the newest line. */
const NEAR = 24;

const IS_EVENT = /^\d+$/;

function Fork({ url, csrf, seq }: NonNullable<Boot["fork"]> & { seq: string }) {
  return (
    <form className="fork" method="post" action={url}>
      <input type="hidden" name="csrfmiddlewaretoken" value={csrf} />
      <button className="chip" name="seq" value={seq} title={`Start a run that goes on from event ${seq}`}>
        Fork from here
      </button>
    </form>
  );
}

interface Props {
  useRun: UseRun;
  fork?: Boot["fork"];
  /** Where the tracebacks of failed attempts are, for whoever may see them. */
  errors?: string | null;
}

export function Log({ useRun, fork = null, errors = null }: Props) {
  const lines = useRun((store) => store.view.log);
  const output = useRun((store) => store.output);
  const selected = useRun((store) => store.selected);
  const list = useRef<HTMLOListElement>(null);
  const [follows, setFollows] = useState(true);
  const steps = useRun((store) => store.view.steps);
  const isShown = (address: string | null) =>
    selected === null || (address !== null && (address === selected || isInside(address, selected)));
  const shown = lines.filter(({ address }) => isShown(address)).slice(-SHOWN_LINES);
  const streams = Object.entries(output).filter(([step, { node }]) => isShown(steps.get(step)?.address ?? node));

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
        {errors && lines.some(({ isFailure }) => isFailure) && (
          <a className="small" href={errors}>
            Tracebacks
          </a>
        )}
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
          <li key={line.key} data-tone={line.tone} data-said={line.isSaid || undefined}>
            <time dateTime={new Date(line.at).toISOString()}>{clock(line.at)}</time>
            <span>{line.text}</span>
            {fork && IS_EVENT.test(line.key) && <Fork {...fork} seq={line.key} />}
          </li>
        ))}
        {streams.map(([step, { node, text }]) => (
          <li key={step} data-tone="said" data-said>
            <em>{node}</em>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
