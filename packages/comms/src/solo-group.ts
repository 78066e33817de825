// The group of a world of one: every collective is the identity.
import { createMemoryGroups } from './memory-wire.js';
import type { ProcessGroup } from './process-group.js';

export function createSoloGroup(): ProcessGroup {
  return createMemoryGroups(1)[0];
}
