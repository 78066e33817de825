// What a doctor makes of the reports of nodes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, type NodeReport } from './doctor-findings.js';

const well = (nodeRank: number, change: Partial<NodeReport> = {}): NodeReport => ({
  ...{ nodeRank, host: `n${nodeRank}`, nodeVersion: 'v20.20.2', glibc: '2.36', arch: 'x64', numCores: 8, numGpus: 4 },
  ...{ notLoaded: [], openFiles: 4096, sharedMemoryBytes: 4e9, freeBytes: 1e12 },
  ...(nodeRank === 0 ? {} : { clockSkewMs: 3, roundTripMs: 0.1, fileSeenAfterMs: 40 }),
  ...change,
});
const bench = { bytes: 1 << 22, timeMs: 2, busBandwidthGBps: 4 };
const expected = { nodes: 2, gpusPerNode: 4, gpusAreRequested: true };

test('two nodes that are well have nothing to mend', () => {
  const found = findingsOf([well(0), well(1)], bench, expected);
  assert.deepEqual([...new Set(found.map(({ level }) => level))], ['ok']);
});

test('each fault is found, with the node that has it and what to do', () => {
  const cases: [Partial<NodeReport>, string, RegExp][] = [
    [{ nodeVersion: 'v18.19.0' }, 'mend node', /older than 20\.15 on n1 \(node 1\): load another with --setup/],
    [{ nodeVersion: 'v22.1.0' }, 'note node', /nodes differ: Node v20\.20\.2; Node v22\.1\.0/],
    [{ notLoaded: ['zeromq cannot be loaded (x)'] }, 'mend libraries', /zeromq cannot be loaded \(x\) on n1/],
    [{ problem: 'not seen here' }, 'mend shared folder', /n1 \(node 1\): not seen here/],
    [{ fileSeenAfterMs: 31_000 }, 'note shared folder', /after at most 31\.0 s: jobs start that much later/],
    [{ clockSkewMs: -4000 }, 'note clock', /differ by at most 4\.0 s/],
    [{ numGpus: 0 }, 'note devices', /fewer than 4 GPUs visible on n1/],
    [{ sharedMemoryBytes: 64e6 }, 'mend shared memory', /0\.1 GB free on n1/],
    [{ openFiles: 256 }, 'mend open files', /256 on n1 .*ulimit/],
  ];
  for (const [change, what, text] of cases) {
    const faults = findingsOf([well(0), well(1, change)], bench, expected).filter(({ level }) => level !== 'ok');
    assert.deepEqual([faults.map(({ level, check }) => `${level} ${check}`)], [[what]], JSON.stringify(change));
    assert.match(faults[0]!.text, text);
  }
});

test('a node that says nothing, and ranks that cannot talk, are to be mended', () => {
  const faults = findingsOf([well(0)], undefined, expected).filter(({ level }) => level === 'mend');
  assert.deepEqual(
    faults.map(({ check }) => check),
    ['nodes', 'network'],
  );
});
