import { useState } from "react";
import { Status } from "../ui/Status";
import { duration, fullTime, useNow } from "../ui/time";
import { type Boot, isOver, type PostForm, type RunStatus, type Verb } from "./events";
import { Reasons } from "./Reasons";
import type { Connection } from "./socket";
import type { UseRun } from "./store";
import { shownStatus } from "./view";

const CONNECTIONS: Record<Connection, string> = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Connection lost, trying again…",
  over: "",
  refused: "The live view was refused; load the page again",
};

function Again({ url, csrf }: PostForm) {
  return (
    <form method="post" action={url}>
      <input type="hidden" name="csrfmiddlewaretoken" value={csrf} />
      <button className="button">Run again</button>
    </form>
  );
}

function CopyAsCurl({ command }: { command: string }) {
  const [copied, setCopied] = useState(false);
  const [shown, setShown] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      setCopied(true);
    } catch {
      setShown(true); // browsers keep the clipboard from pages that come without TLS
    }
  };
  return (
    <div className="popup">
      <button className="button" type="button" onClick={copy}>
        {copied ? "Copied" : "Copy as curl"}
      </button>
      {shown && <pre className="card card-body">{command}</pre>}
    </div>
  );
}

/** The verbs that a run of this status allows besides cancelling, with the words on their buttons. */
const VERBS: Partial<Record<RunStatus, [verb: Verb, words: string, mode?: string][]>> = {
  pending: [["pause", "Pause"]],
  running: [["pause", "Pause"]],
  waiting: [["pause", "Pause"]],
  paused: [
    ["resume", "Resume"],
    ["step", "Step into", "into"],
    ["step", "Step over", "over"],
    ["step", "Step out", "out"],
  ],
  failed: [["retry", "Retry"]],
};

/** What was undone cannot be tried again. */
const verbsOf = (status: RunStatus, isUndoing: boolean) => (status === "failed" && isUndoing ? [] : (VERBS[status] ?? []));

function Control({ status, isUndoing, urls, csrf }: { status: RunStatus; isUndoing: boolean } & NonNullable<Boot["control"]>) {
  const token = <input type="hidden" name="csrfmiddlewaretoken" value={csrf} />;
  return (
    <>
      {verbsOf(status, isUndoing).map(([verb, words, mode]) => (
        <form key={words} method="post" action={urls[verb]}>
          {token}
          <button className="button" name={mode && "mode"} value={mode}>
            {words}
          </button>
        </form>
      ))}
      {!isOver(status) && (
        <details className="popup">
          <summary className="button danger">Cancel run</summary>
          <form className="card card-body fields" method="post" action={urls.cancel}>
            {token}
            <div className="field">
              <label htmlFor="reason">
                Reason <small>optional</small>
              </label>
              <input id="reason" name="reason" maxLength={500} />
            </div>
            <label className="check">
              <input type="checkbox" name="graceful" value="true" /> Let steps in flight end first
            </label>
            <button className="button danger">Cancel this run</button>
          </form>
        </details>
      )}
    </>
  );
}

/** Same places and words as templates/runs/detail.html. */
export function Head({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const { status, isPaused, isUndoing, startedAt, finishedAt, createdAt, error, movedTo } = useRun((store) => store.view);
  const shown = useRun((store) => shownStatus(store.view));
  const connection = useRun((store) => store.connection);
  const over = isOver(status);
  const now = useNow(!over, 100);
  return (
    <header className="run-head">
      <div className="page-head">
        <h1>
          <a href={boot.urls.graph}>{boot.run.graph}</a>
        </h1>
        <span role="status" data-testid="run-status">
          <Status status={shown} />
        </span>
        {!over && (
          <span className="connection" data-connection={connection}>
            {CONNECTIONS[connection]}
          </span>
        )}
        <div className="actions">
          {boot.curl !== null && <CopyAsCurl command={boot.curl} />}
          {boot.again && <Again {...boot.again} />}
          {boot.control && <Control status={isPaused && !over ? "paused" : status} isUndoing={isUndoing} {...boot.control} />}
        </div>
      </div>
      <dl className="facts">
        <div>
          <dt>Run</dt>
          <dd>
            <code>{boot.run.id}</code>
          </dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd>{movedTo?.version.split("@").at(-1) ?? boot.run.version}</dd>
        </div>
        <div>
          <dt>Started</dt>
          <dd>{fullTime(startedAt ?? createdAt)}</dd>
        </div>
        {startedAt !== null && (
          <div>
            <dt>Took</dt>
            <dd>{duration((finishedAt ?? now) - startedAt)}</dd>
          </div>
        )}
        {boot.run.forked_from && (
          <div>
            <dt>Forked from</dt>
            <dd>
              <a href={boot.run.forked_from.url}>run {boot.run.forked_from.id.slice(0, 8)}</a>, event {boot.run.forked_from.seq}
            </dd>
          </div>
        )}
        {boot.run.business_key && (
          <div>
            <dt>Business key</dt>
            <dd>{boot.run.business_key}</dd>
          </div>
        )}
        {Object.keys(boot.run.labels).length > 0 && (
          <div>
            <dt>Labels</dt>
            <dd>
              {Object.entries(boot.run.labels)
                .map(([name, value]) => `${name}=${value}`)
                .join(", ")}
            </dd>
          </div>
        )}
        <div>
          <dt>By</dt>
          <dd>{boot.run.actor}</dd>
        </div>
      </dl>
      {error && <p className="run-error">{error}</p>}
      <Reasons boot={boot} useRun={useRun} />
    </header>
  );
}
