// A case in which ours fails costs neither the others nor the exit code.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Bench, runBenches, type Subject } from './harness.js';

const prints = (figures: object): Subject => ({
  command: process.execPath,
  args: ['-e', `console.log(${JSON.stringify(JSON.stringify(figures))})`],
});
const fails: Subject = { command: process.execPath, args: ['-e', 'console.error("no memory"); process.exit(3)'] };

const BENCH: Bench = {
  name: 'bench',
  question: 'which number is larger',
  rounds: 2,
  measures: [{ key: 'speed', unit: 'm/s', higherIsBetter: true }],
  cases: [
    { name: 'first', ours: prints({ speed: 3 }), peers: { peer: prints({ speed: 2 }), weak: fails } },
    { name: 'broken', ours: fails, peers: { peer: prints({ speed: 2 }) } },
    { name: 'last', ours: prints({ speed: 4 }), peers: { peer: prints({ speed: 8 }) } },
  ],
  peers: ['peer', 'weak'].map((name) => ({ name, probe: async () => ({ version: '1' }) })),
};

test('cases go on when ours fails in one of them, which is said and counted', async () => {
  const said: string[] = [];
  const { results, failures, left } = await runBenches([BENCH], { budgetMs: 60_000, say: (line) => said.push(line) });
  assert.deepEqual(
    results.map(({ name, peer, ratio }) => [name, peer, ratio]),
    [
      ['first', 'peer', 1.5],
      ['first', 'weak', undefined],
      ['last', 'peer', 0.5],
    ],
  );
  assert.deepEqual(failures, ['bench broken']);
  assert.equal(left.length, 2, left.join('\n'));
  assert.match(left.join('\n'), /bench broken: OURS FAILED: .*ended with 3:\nno memory/);
  assert.match(left.join('\n'), /bench first: weak failed and is left out/);
});
