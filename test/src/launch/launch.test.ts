// slip-launch on one node with real processes: what happens when workers finish, crash, hang, freeze or are told to stop.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Dealer } from 'zeromq';
import { RunFolder, until } from './harness.js';

test("workers see torchrun's environment, their peers in rank order, and a run folder in order", async (context) => {
  const run = new RunFolder(context, { steps: 3 });
  const launched = run.launch({ nprocPerNode: 2, runId: 'my-run' });
  assert.equal(await run.endOf(launched), 0, launched.output());
  assert.deepEqual(
    run.notes('peers').map(({ text }) => text),
    ['endpoint-of-0,endpoint-of-1', 'endpoint-of-0,endpoint-of-1'],
  );
  const second = run.notes('environment').find(({ rank }) => rank === 1);
  const { OMP_NUM_THREADS, MASTER_PORT, TORCHELASTIC_ERROR_FILE, ...environment } = JSON.parse(second?.text ?? '{}');
  assert.equal(OMP_NUM_THREADS, process.env.OMP_NUM_THREADS ?? '1');
  assert.ok(Number(MASTER_PORT) > 0);
  assert.equal(TORCHELASTIC_ERROR_FILE, path.join(run.folder, 'attempts/0/errors/rank-00001.json'));
  const expected = {
    LOCAL_RANK: '1',
    RANK: '1',
    GROUP_RANK: '0',
    ROLE_RANK: '1',
    ROLE_NAME: 'default',
    LOCAL_WORLD_SIZE: '2',
    WORLD_SIZE: '2',
    GROUP_WORLD_SIZE: '1',
    ROLE_WORLD_SIZE: '2',
    MASTER_ADDR: '127.0.0.1',
    TORCHELASTIC_RESTART_COUNT: '0',
    TORCHELASTIC_MAX_RESTARTS: '3',
    TORCHELASTIC_RUN_ID: 'my-run',
    TORCHELASTIC_USE_AGENT_STORE: 'False',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(environment[name], value, name);
  assert.match(run.log(0, 0), /rank 0 did step 3/);
  assert.match(run.log(0, 1), /rank 1 did step 3/);
  assert.match(launched.output(), /^rank 0 did step 3$/m, 'rank 0 is on the terminal without a prefix');
  assert.doesNotMatch(launched.output(), /rank 1 did step/);
  assert.deepEqual(
    run.events().map(({ event }) => event),
    ['started', 'finished'],
  );
  assert.equal(statSync(path.join(run.folder, 'attempts/0/coordinator.json')).mode & 0o777, 0o600);
});

test('with --tee and --redirects the terminal shows what was asked for, prefixed', async (context) => {
  const run = new RunFolder(context, { steps: 1 });
  const launched = run.launch({ nprocPerNode: 2, logRouting: { redirects: 3 }, role: 'trainer' });
  assert.equal(await run.endOf(launched), 0, launched.output());
  assert.doesNotMatch(launched.output(), /did step/);
  const again = run.launch({ nprocPerNode: 2, logRouting: { tee: 1, localRanks: [1] }, role: 'trainer' });
  assert.equal(await run.endOf(again), 0, again.output());
  assert.match(again.output(), /^\[trainer1\]:rank 1 did step 1$/m);
  assert.doesNotMatch(again.output(), /rank 0 did step/);
  assert.match(run.log(1, 0), /rank 0 did step 1/, 'a second launch takes the next attempt');
});

test('a worker that throws restarts all, and its own error is the one reported', async (context) => {
  const run = new RunFolder(context, { steps: 6, faults: [{ rank: 1, step: 4, generation: 0, what: 'throw' }] });
  const launched = run.launch({ nprocPerNode: 3 });
  assert.equal(await run.endOf(launched), 0, launched.output());
  const output = launched.output();
  assert.equal(output.match(/worker failure/g)?.length, 1, output);
  assert.match(output, /rank +1 \(node 0, host 127\.0\.0\.1\)/);
  assert.match(output, /step +after step 3/);
  assert.match(output, /exit +code 1\n/);
  assert.match(output, /error +\[internal\] boom in the fixture/);
  assert.match(output, /log +.*attempts\/0\/logs\/rank-00001\.log/);
  assert.match(output, /\| rank 1 did step 3/);
  assert.match(output, /next +restart 1 of 3\n/);
  assert.deepEqual(
    run.events().map(({ event, attempt }) => [event, attempt]),
    [
      ['started', 0],
      ['restarted', 1],
      ['finished', undefined],
    ],
  );
  const error = JSON.parse(readFileSync(path.join(run.folder, 'attempts/0/errors/rank-00001.json'), 'utf8'));
  assert.equal(error.message.message, 'boom in the fixture');
  assert.equal(error.step, 3);
  assert.deepEqual(
    run.notes('step').filter(({ generation, text }) => generation === 1 && text === '6').length,
    3,
    'all three finish in the second generation',
  );
});

test('kill -9 of one worker while another is blocked and deaf to SIGTERM: both are restarted', async (context) => {
  const run = new RunFolder(context, {
    steps: 5,
    ignoreSignals: true,
    faults: [
      { rank: 0, step: 2, generation: 0, what: 'child' },
      { rank: 0, step: 3, generation: 0, what: 'block' },
      { rank: 1, step: 5, generation: 0, what: 'kill' },
    ],
  });
  const launched = run.launch({ nprocPerNode: 2 });
  assert.equal(await run.endOf(launched), 0, launched.output());
  assert.match(launched.output(), /rank +1 .*\n +step +.*\n +exit +killed by SIGKILL \(signal 9\): by kill -9/);
  assert.equal(run.events().length, 3);
});

test("a wrong input is not tried again, and its exit code is the launcher's", async (context) => {
  const run = new RunFolder(context, { steps: 50, stepMs: 50, faults: [{ rank: 1, step: 1, what: 'config' }] });
  const launched = run.launch({ nprocPerNode: 2 });
  assert.equal(await run.endOf(launched), 2, launched.output());
  assert.match(launched.output(), /\[config\] the fixture does not like its config/);
  assert.match(launched.output(), /next +a restart cannot mend \[config\]; exit code 2/);
  assert.deepEqual(
    run.events().map(({ event }) => event),
    ['started', 'failed'],
  );
});

test('when the restarts are used up the exit code is 9, and a lack of progress is named', async (context) => {
  const run = new RunFolder(context, { steps: 5, faults: [{ rank: 0, step: 1, what: 'throw' }] });
  const launched = run.launch({ nprocPerNode: 1, maxRestarts: 2 });
  assert.equal(await run.endOf(launched), 9, launched.output());
  assert.match(launched.output(), /restart 2 of 2 \(2 failures in a row without a new step\)/);
  assert.match(launched.output(), /all 2 restarts are used up; exit code 9/);
});

test('a worker that leaves with code 0 before it has finished is a failure', async (context) => {
  const run = new RunFolder(context, { steps: 5, faults: [{ rank: 0, step: 2, what: 'leave' }] });
  const launched = run.launch({ nprocPerNode: 1, maxRestarts: 0 });
  assert.equal(await run.endOf(launched), 9, launched.output());
  assert.match(launched.output(), /code 0, but it had not reported its work as finished/);
});

test('a frozen worker is noticed by its missing heartbeat', async (context) => {
  const run = new RunFolder(context, { steps: 5, faults: [{ rank: 1, step: 2, generation: 0, what: 'freeze' }] });
  const launched = run.launch({ nprocPerNode: 2, workerTimeoutMs: 1500 });
  assert.equal(await run.endOf(launched), 0, launched.output());
  assert.match(launched.output(), /no heartbeat for 1\.5 s: the process is frozen/);
});

test('a blocked main thread is not mistaken for a frozen process', async (context) => {
  const run = new RunFolder(context, { steps: 2, faults: [{ rank: 0, step: 1, what: 'block' }] });
  const launched = run.launch({ nprocPerNode: 1, workerTimeoutMs: 1500 });
  await until(() => run.notes('blocked').length === 1, 'the block');
  const started = performance.now();
  await until(() => performance.now() - started > 2500, 'more than the timeout to pass');
  assert.doesNotMatch(launched.output(), /frozen/);
  launched.child.kill('SIGINT');
  await until(() => launched.output().includes('stopping at the next step'), 'the signal to be understood');
  launched.child.kill('SIGINT');
  assert.equal(await run.endOf(launched), 130, launched.output());
});

test('a signal is forwarded, the workers stop by themselves, and the exit code says that the run can go on', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const launched = run.launch({ nprocPerNode: 2 });
  await until(() => run.notes('step').length > 4, 'some steps');
  launched.child.kill('SIGUSR2');
  assert.equal(await run.endOf(launched), 75, launched.output());
  assert.deepEqual(
    run.notes('signal').map(({ text }) => text),
    ['SIGUSR2', 'SIGUSR2'],
  );
  assert.match(launched.output(), /the same command continues the run/);
  assert.equal(run.events().at(-1)?.event, 'stopped');
});

test('a second Ctrl-C ends everything at once', async (context) => {
  const run = new RunFolder(context, { steps: 5000, ignoreSignals: true });
  const launched = run.launch({ nprocPerNode: 2 });
  await until(() => run.notes('step').length > 4, 'some steps');
  launched.child.kill('SIGINT');
  await until(() => launched.output().includes('stopping at the next step'), 'the first to be understood');
  launched.child.kill('SIGINT');
  assert.equal(await run.endOf(launched), 130, launched.output());
});

test('kill -9 of the launcher leaves no worker behind, blocked or not, nor a child of one', async (context) => {
  const run = new RunFolder(context, {
    steps: 5000,
    faults: [
      { rank: 0, step: 2, what: 'child' },
      { rank: 0, step: 3, what: 'block' },
    ],
  });
  const launched = run.launch({ nprocPerNode: 2 });
  await until(() => run.notes('blocked').length === 1, 'the block');
  assert.equal(run.processes().length, 3, 'two workers and a child');
  launched.child.kill('SIGKILL');
  assert.equal(await launched.ended, 'SIGKILL');
  await run.noProcessLeft();
});

test('a launcher whose terminal is gone still brings its workers to a stop', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const launched = run.launch({ nprocPerNode: 1 });
  await until(() => run.notes('step').length > 0, 'the first step');
  launched.child.stdout?.destroy();
  launched.child.stderr?.destroy();
  launched.child.kill('SIGHUP');
  assert.equal(await run.endOf(launched), 75);
  assert.equal(run.events().at(-1)?.event, 'stopped');
});

test('a second launch in a run folder that is in use is refused; after kill -9 of the first it is not', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const first = run.launch({ nprocPerNode: 1 });
  await until(() => run.notes('step').length > 0, 'the first step');
  const second = run.launch({ nprocPerNode: 1 });
  assert.equal(await second.ended, 2, second.output());
  assert.match(second.output(), new RegExp(`is in use by slip-launch with process id ${first.child.pid}`));
  first.child.kill('SIGKILL');
  await first.ended;
  const third = run.launch({ nprocPerNode: 1 });
  await until(() => run.notes('environment').length > 1, 'the third to start its worker');
  await until(() => run.events().length > 1, 'its event');
  third.child.kill('SIGTERM');
  assert.equal(await third.ended, 75, third.output());
});

test('a later start of the same Slurm job takes the folder over: the earlier one leaves, then the later one begins', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const first = run.launch({ nprocPerNode: 1, runId: '7.0' });
  await until(() => run.notes('step').length > 0, 'the first step');
  const other = run.launch({ nprocPerNode: 1, runId: '8.1' });
  assert.equal(await other.ended, 2, other.output());
  const later = run.launch({ nprocPerNode: 1, runId: '7.1' });
  assert.equal(await first.ended, 5, first.output());
  const atItsEnd = run.notes('environment').length;
  assert.match(first.output(), /attempt 1 of this run was started elsewhere; this one, 0, leaves without saving/);
  await until(() => run.notes('environment').length > atItsEnd, 'the later one to start its worker');
  assert.equal(atItsEnd, 1, 'not before the earlier one had left');
  await until(() => run.events().filter(({ event }) => event === 'started').length === 2, 'its event');
  later.child.kill('SIGTERM');
  assert.equal(await later.ended, 75, later.output());
  assert.match(later.output(), /attempt 0 of this job \(process \d+\) has not ended: attempt 1 takes over/);
});

test('garbage at the rendezvous port is counted and dropped', async (context) => {
  const run = new RunFolder(context, { steps: 60 });
  const launched = run.launch({ nprocPerNode: 1 });
  await until(() => run.notes('step').length > 0, 'the first step');
  const { endpoint } = JSON.parse(readFileSync(path.join(run.folder, 'attempts/0/coordinator.json'), 'utf8'));
  const stranger = new Dealer({ linger: 1000 });
  stranger.connect(endpoint);
  await stranger.send(Buffer.from('not a message'));
  await stranger.send([Buffer.from('two'), Buffer.from('frames')]);
  await stranger.send(Buffer.alloc(0));
  stranger.close();
  assert.equal(await run.endOf(launched), 0, launched.output());
  assert.match(launched.output(), /3 frames at the rendezvous port were not ours/);
});
