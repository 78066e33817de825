// Texts in the input of a step, no longer than the longest of them where the step may be cut.
import type { StepExecutor } from '@slip/engine';

/** @param tokens [B, L] int32 of the whole context */
export function feedTexts(executor: StepExecutor, tokens: Int32Array): void {
  const input = executor.input('tokens');
  const { lengths } = executor;
  if (lengths === undefined) {
    input.set(tokens);
    return;
  }
  const contextLength = lengths.at(-1)!;
  const used = usedLength(tokens, contextLength);
  const length = lengths.find((allowed) => allowed >= used)!;
  executor.setLength!(length);
  for (let row = 0; row * contextLength < tokens.length; row++) {
    const start = row * contextLength;
    input.set(tokens.subarray(start, start + length), row * length);
  }
}

/** Tokens that can change a result: those up to the largest id of a row, the first of equals, which is where the tower looks. */
export function usedLength(tokens: Int32Array, contextLength: number): number {
  let used = 0;
  for (let start = 0; start < tokens.length; start += contextLength) {
    let end = 0;
    for (let i = 1; i < contextLength; i++) if (tokens[start + i] > tokens[start + end]) end = i;
    used = Math.max(used, end + 1);
  }
  return used;
}
