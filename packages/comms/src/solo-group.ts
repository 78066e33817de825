// The group of a world of one: every collective is the identity.
import type { ProcessGroup } from './process-group.js';

export function createSoloGroup(): ProcessGroup {
  return {
    rank: 0,
    worldSize: 1,
    async allReduce() {},
    async reduceScatter(input, output) {
      output.set(input);
    },
    async allGather(input, output) {
      output.set(input);
    },
    async broadcast() {},
    async allGatherObject(value) {
      return [value];
    },
    async barrier() {},
    async close() {},
    traffic: { bytesSent: 0, messages: 0, waitMs: 0 },
  };
}
