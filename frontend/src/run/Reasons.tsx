/** Why the run is not moving: asked for when nothing has happened for a while. */
import { useEffect, useState } from "react";
import type { Boot, Reason, RunStatus } from "./events";
import type { UseRun } from "./store";
import { read } from "./watch";

const QUIET_MS = 1_500;
/** What the rest of the page says as well: that steps are under way, and the one failure of a run that has failed. */
const isSaid = (reasons: Reason[], status: RunStatus) =>
  reasons.every(({ because }) => because === "running") || (status === "failed" && reasons.length === 1 && reasons[0]?.because === "failed");

export function Reasons({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const seq = useRun(({ view }) => view.seq);
  const status = useRun(({ view }) => view.status);
  const [shown, show] = useState({ seq: boot.seq, reasons: boot.reasons });
  const isFinal = status === "completed" || status === "cancelled";
  useEffect(() => {
    if (isFinal) return;
    let isWanted = true;
    const timer = setTimeout(async () => {
      const answer = await read<{ reasons: Reason[] }>(boot.urls.explain);
      if (answer && isWanted) show({ seq, reasons: answer.reasons });
    }, QUIET_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [boot, seq, status, isFinal]);
  if (isFinal || shown.seq !== seq || isSaid(shown.reasons, status)) return null;
  return (
    <ul className="reasons" aria-label="Why the run is not moving" aria-live="polite">
      {shown.reasons.map(({ because, message, data }, index) => (
        <li key={index} data-because={because}>
          {message}
          {data.task && (
            <>
              {" "}
              <a href={`${boot.urls.tasks}${data.task}/`}>Open the task</a>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
