/** Places for the bars of one row of the timeline, so that steps at the same time are drawn under each other. */

export interface Span {
  startedAt: number;
  finishedAt: number | null;
}

export const MOST_LANES = 6;
/** Times are whole milliseconds, so a step may seem to start this much before the one it follows is over. */
const BLUR_MS = 1;

/** The lane of each span, in the order given (by start); where all lanes are taken, the one that is free first. */
export function lanesOf(spans: Span[], now: number): number[] {
  const freeAt: number[] = [];
  return spans.map(({ startedAt, finishedAt }) => {
    let lane = freeAt.findIndex((time) => time <= startedAt + BLUR_MS);
    if (lane < 0) lane = freeAt.length < MOST_LANES ? freeAt.length : freeAt.indexOf(Math.min(...freeAt));
    freeAt[lane] = finishedAt ?? now;
    return lane;
  });
}
