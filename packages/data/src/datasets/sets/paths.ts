// Paths of metadata below a root.
import path from 'node:path';

/** Absolute places are taken as they are. */
export function joinRoot(root: string, place: string): string {
  return path.isAbsolute(place) ? place : path.join(root, place);
}
