// Relative positions of the tokens of a square grid with a class token, as BEiT numbers them: which row of a table each pair has.

/** Rows of the table: every offset of two patches, then class token to patch, patch to class token, class token to itself. */
export function relativeDistances(grid: number): number {
  return (2 * grid - 1) ** 2 + 3;
}

/** [N * N] for N = grid^2 + 1 tokens, class token first; row by row. */
export function relativePositionIndex(grid: number): Int32Array {
  const tokens = grid * grid + 1;
  const rows = relativeDistances(grid);
  const index = new Int32Array(tokens * tokens);
  for (let a = 0; a < tokens; a++) {
    for (let b = 0; b < tokens; b++) index[a * tokens + b] = distance(a - 1, b - 1, grid, rows);
  }
  return index;
}

/** @param a patch, or -1 for the class token; as is `b` */
function distance(a: number, b: number, grid: number, rows: number): number {
  if (a < 0 && b < 0) return rows - 1;
  if (b < 0) return rows - 2;
  if (a < 0) return rows - 3;
  const down = Math.floor(a / grid) - Math.floor(b / grid) + grid - 1;
  const across = (a % grid) - (b % grid) + grid - 1;
  return down * (2 * grid - 1) + across;
}
