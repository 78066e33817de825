// Whether a series of measurements rises: blocks of it, a line through them, and how sure the line is. Pure.

export interface Trend {
  /** Of the line, in units of the measurement for one place of the series. */
  readonly slope: number;
  /** Standard error of the slope, from the scatter of the blocks about the line. */
  readonly error: number;
  /** What the line says of the end of the series, less its beginning. */
  readonly rise: number;
  /** The standard error of that. */
  readonly riseError: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Least squares through one value for each block, because neighbours of a series resemble each other and would make the error look
 * small.
 *
 * @param count of blocks, at least 3 and at most as many as there are values
 * @param represent a block by one value
 */
export function trendOf(
  values: readonly number[],
  count: number,
  represent: (block: readonly number[]) => number = median,
): Trend {
  const starts = Array.from({ length: count + 1 }, (_, i) => Math.round((i * values.length) / count));
  const points = Array.from({ length: count }, (_, i) => ({
    x: (starts[i] + starts[i + 1] - 1) / 2,
    y: represent(values.slice(starts[i], starts[i + 1])),
  }));
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / count;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / count;
  const squares = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / squares;
  const residues = points.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  const error = Math.sqrt(residues / (count - 2) / squares);
  const length = values.length - 1;
  return { slope, error, rise: slope * length, riseError: error * length };
}
