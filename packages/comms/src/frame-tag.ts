// Comparing and naming frame tags.
import type { FrameTag } from './mesh.js';

export function sameTag(a: FrameTag, b: FrameTag): boolean {
  return (
    a.operation === b.operation &&
    a.sequence === b.sequence &&
    a.elements === b.elements &&
    a.chunk === b.chunk &&
    a.dtype === b.dtype
  );
}

/** For people: "allReduce sum #12 of 1024 elements"; the dtype where the operation does not tell it. */
export function describeTag({ operation, sequence, elements, dtype }: FrameTag): string {
  const kind = operation === 'broadcast' ? `${dtype} ` : '';
  return `${operation} #${sequence}${elements > 0 ? ` of ${elements} ${kind}elements` : ''}`;
}
