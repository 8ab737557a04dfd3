/** An icon of the sprite that every page carries (templates/parts/icons.svg). Decorative: words stand beside it. */
export function Icon({ name }: { name: string }) {
  return (
    <svg className="icon" aria-hidden="true">
      <use href={`#icon-${name}`} />
    </svg>
  );
}
