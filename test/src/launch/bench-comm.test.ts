// `slip-launch bench-comm` as a user runs it: every collective is right, whichever way it goes, in frames of full length too, and
// nothing is left.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import test from 'node:test';
import { launch } from '../pretrain/launch-runs.js';

const temporaries = () => readdirSync(os.tmpdir()).filter((name) => name.startsWith('slip-bench-comm-'));

/** Long enough for frames of full length where they are not the same on all ways. */
const [SHORT, LONG] = ['1K:4M:16', '1K:16M:128'];
const WAYS: readonly (readonly [op: string, transport: string, sizes: string])[] = [
  ...['all-reduce', 'reduce-scatter', 'all-gather', 'broadcast'].flatMap((op) =>
    ['shared', 'zmq'].map((transport) => [op, transport, SHORT] as const),
  ),
  ['all-reduce', 'tcp', LONG],
  ['all-reduce', 'zmq --comm-encryption on', LONG],
];

for (const [op, transport, sizes] of WAYS) {
  test(`${op} of 3 ranks, transport ${transport}: no wrong element at any size`, async () => {
    const before = temporaries();
    const { code, output } = await launch([
      ...['--nproc', '3', 'bench-comm', '--sizes', sizes, '--iterations', '3', '--json'],
      ...['--op', op, '--transport', ...transport.split(' ')],
    ]);
    assert.equal(code, 0, output);
    const lines = output.split('\n').filter((line) => line.startsWith('{'));
    const results = lines.map((line) => JSON.parse(line));
    assert.deepEqual(
      results.map(({ bytes, errors }) => [Math.round(Math.log2(bytes)), errors]),
      (sizes === SHORT ? [10, 14, 18, 22] : [10, 17, 24]).map((size) => [size, 0]),
    );
    for (const { timeMs, algBandwidthGBps, busBandwidthGBps } of results) {
      assert.ok(timeMs > 0 && algBandwidthGBps > 0 && busBandwidthGBps > 0);
    }
    assert.deepEqual(temporaries(), before, 'its folder is gone');
  });
}

test('mistakes in its flags are one line', async () => {
  for (const [args, message] of [
    [['--sizes', '1K:1'], /\[config\] --sizes 1K:1: expected FROM:TO such as 1K:512M/],
    [
      ['--op', 'all-to-all'],
      /\[config\] --op is "all-to-all"; one of all-reduce, reduce-scatter, all-gather, broadcast/,
    ],
    [['--lr', '1'], /\[config\] unknown flag --lr/],
  ] as const) {
    const { code, output } = await launch(['bench-comm', ...args]);
    assert.equal(code, 2, output);
    assert.match(output, message);
  }
});
