/** What tools stream while their steps run: the last of it, for each step, until the step is over. */
import type { Chunk } from "./events";
import type { StepView } from "./view";

export interface Stream {
  node: string | null;
  /** The number of the newest chunk, so that chunks that come twice are added once. */
  number: number;
  text: string;
}

export type Output = Readonly<Record<string, Stream>>;

export const MOST_LETTERS = 4_000;

export function addOutput(before: Output, chunks: Chunk[]): Output {
  const output: Record<string, Stream> = { ...before };
  for (const { step, node, number, text } of chunks) {
    const known = output[step];
    if (known && number <= known.number) continue;
    output[step] = { node, number, text: ((known?.text ?? "") + text).slice(-MOST_LETTERS) };
  }
  return output;
}

/** Only the output of steps that still run. */
export function withoutOver(output: Output, steps: ReadonlyMap<string, StepView>): Output {
  const running = Object.entries(output).filter(([step]) => (steps.get(step)?.finishedAt ?? null) === null);
  return running.length === Object.keys(output).length ? output : Object.fromEntries(running);
}
