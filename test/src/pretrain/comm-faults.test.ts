// What users see when ranks lose or misunderstand each other in the middle of a training: one report that names the rank, soon,
// and a clean machine. The faults between bare groups are tested in packages/comms.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { datasetFlags, makeTinySet, type Running, start, TINY_MODEL, temporaryFolder } from './launch-runs.js';

const hook = pathToFileURL(path.join(import.meta.dirname, 'fixtures/faulty-rank.js')).href;
/** Of being named; the ranks' own deadline is far longer. */
const SOON_MS = 10_000;
const RANKS = 3;

interface Fault {
  readonly what: string;
  readonly transport: 'shared' | 'tcp' | 'zmq';
  readonly signal?: NodeJS.Signals;
  readonly report: RegExp;
}

const FAULTS: readonly Fault[] = [
  ...(['shared', 'zmq'] as const).flatMap((transport): Fault[] => [
    { what: 'kill -9', transport, signal: 'SIGKILL', report: /rank {6}1 .*\n.*\n.*killed by SIGKILL/ },
    { what: 'a stopped rank', transport, signal: 'SIGSTOP', report: /the connection to rank 1 .* or is stopped/ },
    { what: 'another operation', transport, report: /ranks disagree: .*rank 1 is at barrier|rank 1 at barrier/ },
    { what: 'another size', transport, report: /ranks disagree: .*rank 1 (is )?at reduceScatter #\d+ of \d+ elements/ },
  ]),
  { what: 'kill -9', transport: 'tcp', signal: 'SIGKILL', report: /rank {6}1 .*\n.*\n.*killed by SIGKILL/ },
  { what: 'a damaged frame', transport: 'zmq', report: /rank 1 sent .*checksum/ },
  { what: 'another run', transport: 'shared', report: /rank 1 .*"another-run"/ },
];

for (const { what, transport, signal, report } of FAULTS) {
  test(`${what}, transport ${transport}: named at once, nothing left`, { timeout: 60_000 }, async (context) => {
    const folder = temporaryFolder(context);
    const sharedBefore = sharedMemory();
    const run = await startTraining(folder, transport, signal === undefined ? what : '');
    let ranks: readonly number[] = [];
    if (signal !== undefined) {
      await run.until(/Epoch: \[3\]/);
      ranks = workersOf(run);
      const faultAt = performance.now();
      process.kill(ranks[1], signal);
      await run.until(/error +\[/);
      const namedMs = performance.now() - faultAt;
      context.diagnostic(`named ${(namedMs / 1000).toFixed(1)} s after the fault`);
      assert.ok(namedMs < SOON_MS, `named ${namedMs} ms after the fault`);
    }
    const { code, output } = await run.finished;
    assert.equal(code, 9, output);
    assert.equal(output.match(/slip-launch: worker failure/g)?.length, 1, output);
    assert.match(output, report);
    assert.deepEqual(
      ranks.filter((pid) => existsSync(`/proc/${pid}`)),
      [],
      'no worker is left',
    );
    assert.deepEqual(sharedMemory(), sharedBefore);
  });
}

async function startTraining(folder: string, transport: string, fault: string): Promise<Running> {
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const environment = { NODE_OPTIONS: `--import=${hook}`, SLIP_TEST_FAULT: fault };
  return start(
    [
      ...['--nproc', String(RANKS), '--max-restarts', '0', '--transport', transport, '--batch-size', '8'],
      ...[...datasetFlags(set), '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ...['--epochs', '5000', '--output-dir', path.join(folder, 'run')],
    ],
    fault === '' ? {} : environment,
  );
}

/** Process ids by rank. */
function workersOf({ child }: Running): number[] {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const ranks: number[] = [];
  for (const pid of children) {
    const rank = /(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'));
    if (rank !== null) ranks[Number(rank[1])] = pid;
  }
  return ranks;
}

/** Semaphores of other programs come and go. */
function sharedMemory(): string[] {
  return readdirSync('/dev/shm').filter((name) => !name.startsWith('sem.'));
}
