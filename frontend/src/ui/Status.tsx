import { Icon } from "./Icon";

/** A status as icon, colour and word. The same markup as templates/parts/status.html. */
export function Status({ status }: { status: string }) {
  return (
    <span className="status" data-status={status}>
      <Icon name={status} />
      {status}
    </span>
  );
}
