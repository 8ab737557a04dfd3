/** An edge as it is drawn: a line through points, an arrow at its end. */

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

export interface EdgeRoute {
  points: Point[];
  label: (Point & Size) | null;
}

const CORNER = 10;

/** An SVG path through the points, with rounded corners. */
export function pathThrough(points: Point[]): string {
  return points
    .map((corner, index) => {
      const before = points[index - 1];
      const after = points[index + 1];
      if (!before) return `M${corner.x},${corner.y}`;
      if (!after) return `L${corner.x},${corner.y}`;
      const towards = (other: Point): string => {
        const distance = Math.hypot(other.x - corner.x, other.y - corner.y) || 1;
        const share = Math.min(CORNER, distance / 2) / distance;
        return `${corner.x + (other.x - corner.x) * share},${corner.y + (other.y - corner.y) * share}`;
      };
      return `L${towards(before)}Q${corner.x},${corner.y} ${towards(after)}`;
    })
    .join("");
}

const ARROW_LENGTH = 9;
const ARROW_HALF_WIDTH = 4.5;

/** An SVG path of an arrow head at the last point, in the direction of the last stretch. */
export function arrowAt(points: Point[]): string {
  const [tip, before] = [points.at(-1), points.at(-2)];
  if (!tip || !before) return "";
  const distance = Math.hypot(tip.x - before.x, tip.y - before.y) || 1;
  const [dx, dy] = [(tip.x - before.x) / distance, (tip.y - before.y) / distance];
  const [x, y] = [tip.x - dx * ARROW_LENGTH, tip.y - dy * ARROW_LENGTH];
  const [sideX, sideY] = [-dy * ARROW_HALF_WIDTH, dx * ARROW_HALF_WIDTH];
  return `M${tip.x},${tip.y}L${x + sideX},${y + sideY}L${x - sideX},${y - sideY}Z`;
}
