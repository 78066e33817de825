// By how much each row of a micro-batch counts, so that the mean over ranks of what ranks sum up is the mean over all rows, whatever
// their number on each rank and however many are padding. Pure.

/**
 * @param out one for each row that the step has
 * @param ownRows how many of them are there; the rest is padding
 * @param allRows that are there on all ranks
 */
export function writeRowWeights(out: Float32Array, ownRows: number, allRows: number, worldSize: number): void {
  out.fill(worldSize / allRows, 0, ownRows);
  out.fill(0, ownRows);
}
