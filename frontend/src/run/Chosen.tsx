import { Icon } from "../ui/Icon";
import type { UseRun } from "./store";

/** An address as people read it. */
export const spoken = (address: string): string => address.replaceAll("/", " › ");

/** The node that the log is narrowed to, and the way back to all. */
export function Chosen({ useRun }: { useRun: UseRun }) {
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  if (selected === null) return null;
  const name = spoken(selected);
  return (
    <button type="button" className="chip" onClick={() => select(null)} aria-label={`Only ${name}; show all nodes`}>
      {name}
      <Icon name="close" />
    </button>
  );
}
