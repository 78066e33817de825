// The pure parts of the agent: which output goes where, and what can be read from what a worker leaves behind.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { parseErrorFile, readErrorFile, readLogTail, readUncaughtError } from './error-file.js';
import { parseStreamMap, routeStreams } from './log-routing.js';
import { countMemoryKills } from './memory-kills.js';
import { shareNode } from './worker-share.js';

function shown(routing: Parameters<typeof routeStreams>[0], rank: number, localRank: number): string {
  const { stdoutToTerminal, stderrToTerminal, prefixed } = routeStreams(routing, rank, localRank);
  return `${stdoutToTerminal ? 'out' : ''}${stderrToTerminal ? 'err' : ''}${prefixed ? '+prefix' : ''}`;
}

test('by default only rank 0 of the whole run is on the terminal, without a prefix', () => {
  assert.equal(shown({}, 0, 0), 'outerr');
  assert.equal(shown({}, 1, 1), '');
  assert.equal(shown({}, 2, 0), '', 'local rank 0 of the second node');
});

test('tee and redirects follow torchrun, for all ranks or by map', () => {
  assert.equal(shown({ tee: 3 }, 1, 1), 'outerr+prefix');
  assert.equal(shown({ tee: new Map([[1, 2]]) }, 1, 1), 'err+prefix');
  assert.equal(shown({ tee: new Map([[1, 2]]) }, 0, 0), '+prefix');
  assert.equal(shown({ redirects: 3 }, 0, 0), '+prefix');
  assert.equal(shown({ redirects: 1 }, 5, 1), 'err+prefix');
  assert.equal(shown({ redirects: 3, tee: 1 }, 5, 1), 'out+prefix');
  assert.equal(shown({ redirects: 0 }, 5, 1), 'outerr+prefix');
});

test('the filter hides other local ranks, and alone it selects', () => {
  assert.equal(shown({ tee: 3, localRanks: [1] }, 0, 0), '');
  assert.equal(shown({ tee: 3, localRanks: [1] }, 1, 1), 'outerr+prefix');
  assert.equal(shown({ localRanks: [1] }, 1, 1), 'outerr+prefix');
});

test('stream maps take local ranks of any number of digits', () => {
  assert.equal(parseStreamMap('tee', '3'), 3);
  assert.deepEqual(
    parseStreamMap('tee', '0:1,12:3'),
    new Map([
      [0, 1],
      [12, 3],
    ]),
  );
  for (const wrong of ['4', '0:4', 'a', '0:', '', '1:2,'])
    assert.throws(() => parseStreamMap('tee', wrong), { code: 'config', message: new RegExp(`--tee ${wrong}`) });
});

test('error files of ours and of torchrun are understood, others are no error', () => {
  const torch = { message: { message: 'RuntimeError: x', extraInfo: { timestamp: '1700000000' }, errorCode: 1 } };
  assert.deepEqual(parseErrorFile(JSON.stringify(torch)), {
    code: 'worker-failed',
    message: 'RuntimeError: x',
    step: 0,
    timeMs: 1_700_000_000_000,
  });
  const ours = { ...torch, code: 'data', step: 7, timeMs: 1_700_000_000_123.5 };
  assert.deepEqual(parseErrorFile(JSON.stringify(ours)), {
    code: 'data',
    message: 'RuntimeError: x',
    step: 7,
    timeMs: 1_700_000_000_123.5,
  });
  for (const wrong of ['', '{"message": {"mess', 'null', '[]', '{"message": 3}'])
    assert.equal(parseErrorFile(wrong), undefined);
});

test('an uncaught error is found in the log when there is no error file', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-uncaught-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'log');
  writeFileSync(
    file,
    'Error: an old one, handled\n\nTypeError [ERR_X]: a is not b\n    at main.js:3:4\n\nNode.js v20\n',
  );
  assert.equal(await readUncaughtError(file), 'TypeError [ERR_X]: a is not b');
  writeFileSync(file, 'loss 3 Error: not at the start\n');
  assert.equal(await readUncaughtError(file), undefined);
});

test('the tail of a log is its last five lines with something in them', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-tail-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'log');
  writeFileSync(file, `${'x'.repeat(30_000)}\n1\n2\n\n3\n4  \n5\n6\n\n`);
  assert.deepEqual(await readLogTail(file), ['2', '3', '4', '5', '6']);
  assert.deepEqual(await readLogTail(path.join(folder, 'none')), []);
  assert.equal(await readErrorFile(path.join(folder, 'none')), undefined);
});

test('the kernel counts whom it has ended for want of memory', (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-vmstat-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'vmstat');
  writeFileSync(file, 'pgmajfault 7\noom_kill 12\nnuma_hit 3\n');
  assert.equal(countMemoryKills(file), 12);
  writeFileSync(file, 'pgmajfault 7\n');
  assert.equal(countMemoryKills(file), undefined);
  assert.equal(countMemoryKills(path.join(folder, 'none')), undefined);
});

test('cores and GPUs of a node are divided into equal shares', () => {
  const cores = [0, 1, 2, 3, 4].map((core) => ({ cpus: [core, core + 64] }));
  assert.deepEqual(shareNode(cores, ['4', '5', '6', '7'], 2), [
    { cpus: '0,64,1,65', numCpus: 4, gpus: '4,5' },
    { cpus: '2,66,3,67', numCpus: 4, gpus: '6,7' },
  ]);
  assert.deepEqual(shareNode(cores, ['0'], 2)[1], { cpus: '2,66,3,67', numCpus: 4 }, 'one GPU cannot be divided');
  assert.deepEqual(shareNode([], ['0', '1'], 2), [{ gpus: '0' }, { gpus: '1' }]);
  assert.deepEqual(shareNode(cores, [], 6)[0], {}, 'fewer cores than workers');
});
