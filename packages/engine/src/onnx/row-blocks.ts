// Into how many blocks the rows of a matrix product are cut; pure.

/**
 * ONNX Runtime's product walks over all rows for each 128 columns of the result and each 128 terms of its sums. With 400 rows that
 * panel, 200 KB, stays in a core's second cache; with thousands it comes from memory each time (docs/adr/0028-products-in-blocks.md).
 */
const ROWS_OF_A_BLOCK = 400;

/** Rows that have no divisor near it are better left in one block than cut into many small ones. */
const FEWEST_ROWS = 100;

/** One panel of columns: its rows are read once in any case. */
const PANEL = 128;

/** @returns how many blocks of equal height, near `ROWS_OF_A_BLOCK` where the number of rows allows */
export function rowBlocks(numRows: number): number {
  let best = 1;
  for (let blocks = 2; numRows / blocks >= FEWEST_ROWS; blocks++) {
    if (numRows % blocks === 0 && distance(numRows / blocks) < distance(numRows / best)) best = blocks;
  }
  return best;
}

/** Depends on the widths alone, not on the rows: steps of all lengths have the same nodes. */
export function isCutIntoBlocks(widths: readonly number[]): boolean {
  return Math.max(...widths) > PANEL;
}

function distance(rows: number): number {
  return Math.abs(Math.log(rows / ROWS_OF_A_BLOCK));
}
