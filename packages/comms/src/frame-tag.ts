// Comparing and naming frame tags.
import type { FrameTag } from './mesh.js';

export function sameTag(a: FrameTag, b: FrameTag): boolean {
  return a.operation === b.operation && a.sequence === b.sequence && a.elements === b.elements && a.chunk === b.chunk;
}

/** For people: "allReduce sum #12 of 1024 elements". */
export function describeTag({ operation, sequence, elements }: FrameTag): string {
  return `${operation} #${sequence}${elements > 0 ? ` of ${elements} elements` : ''}`;
}
