// What rank 0 says about samples that any rank could not read.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { ProcessGroup } from '@slip/comms';
import type { Logger } from '@slip/core';
import { tellReplaced } from './replaced-samples.js';

async function tell(own: { count: number; because: string[] }, others: { count: number; because: string[] }[]) {
  const lines: string[] = [];
  const log = { warn: (line: string) => lines.push(line) } as unknown as Logger;
  const group = { rank: 0, allGatherObject: async (value: unknown) => [value, ...others] } as unknown as ProcessGroup;
  await tellReplaced([{ replacedSamples: own.count, replacedBecause: own.because }], group, log);
  return lines;
}

test('the summary counts all ranks and gives a few reasons, each once', async () => {
  assert.deepEqual(await tell({ count: 0, because: [] }, [{ count: 0, because: [] }]), []);
  assert.deepEqual(await tell({ count: 1, because: ['a.jpg'] }, [{ count: 0, because: [] }]), [
    '1 unreadable samples were replaced',
    '  a.jpg',
  ]);
  const lines = await tell({ count: 9, because: ['a', 'b', 'c'] }, [{ count: 4, because: ['c', 'd', 'e', 'f'] }]);
  assert.deepEqual(lines, [
    '13 unreadable samples were replaced',
    ...['a', 'b', 'c', 'd', 'e'].map((why) => `  ${why}`),
    '  slip-data verify lists them all',
  ]);
});
