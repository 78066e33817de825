// What tells the steps of this package apart in a cache of compiled graphs: the code that writes them, and what they were made from.
import { hashSources } from '@slip/core';

let sources: string | undefined;

/** @param made everything that the step's function closes over, as plain data */
export function stepIdentity(...made: readonly unknown[]): () => string {
  return () => {
    sources ??= hashSources(import.meta.dirname);
    return `${sources} ${JSON.stringify(made)}`;
  };
}
