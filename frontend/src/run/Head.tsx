import { Status } from "../ui/Status";
import { duration, fullTime, useNow } from "../ui/time";
import { type Boot, isOver } from "./events";
import type { Connection } from "./socket";
import type { UseRun } from "./store";

const CONNECTIONS: Record<Connection, string> = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Connection lost, trying again…",
  over: "",
  refused: "The live view was refused; load the page again",
};

function Cancel({ url, csrf }: NonNullable<Boot["cancel"]>) {
  return (
    <div className="actions">
      <details className="cancel">
        <summary className="button danger">Cancel run</summary>
        <form className="card card-body fields" method="post" action={url}>
          <input type="hidden" name="csrfmiddlewaretoken" value={csrf} />
          <div className="field">
            <label htmlFor="reason">
              Reason <small>optional</small>
            </label>
            <input id="reason" name="reason" maxLength={500} />
          </div>
          <button className="button danger">Cancel this run</button>
        </form>
      </details>
    </div>
  );
}

/** Same places and words as templates/runs/detail.html. */
export function Head({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const { status, startedAt, finishedAt, createdAt, error } = useRun((store) => store.view);
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
          <Status status={status} />
        </span>
        {!over && (
          <span className="connection" data-connection={connection}>
            {CONNECTIONS[connection]}
          </span>
        )}
        {boot.cancel && !over && <Cancel {...boot.cancel} />}
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
          <dd>{boot.run.version}</dd>
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
        <div>
          <dt>By</dt>
          <dd>{boot.run.actor}</dd>
        </div>
      </dl>
      {error && <p className="run-error">{error}</p>}
    </header>
  );
}
