// Version choice, the shapes of answers over the versions, request bodies and errors: everything that needs no server.
// Answers and bodies of v0.0.38 and v0.0.40 to v0.0.42 are as live servers have them; v0.0.39 is from Slurm's documents.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readJob } from './answers/job.js';
import { countGpus, readController, readNode, readPartition } from './answers/node.js';
import { chooseVersion, versionsOf } from './api-version.js';
import { connect } from './connection.js';
import { errorOf, readProblems } from './errors.js';
import { changeBody, type JobSubmission, submissionBody } from './submission.js';

test('the newest version that both sides speak is chosen, numbers counted as numbers', () => {
  const paths = [
    '/slurm/v0.0.9/jobs',
    '/slurm/v0.0.38/jobs',
    '/slurm/v0.0.37/jobs',
    '/slurmdb/v0.0.40/jobs',
    '/openapi',
  ];
  assert.deepEqual(versionsOf(paths), ['v0.0.9', 'v0.0.37', 'v0.0.38']);
  assert.equal(chooseVersion(versionsOf(paths)), 'v0.0.38');
  assert.equal(chooseVersion(['v0.0.41', 'v0.0.42', 'v0.0.43', 'v0.0.44']), 'v0.0.42');
  assert.throws(() => chooseVersion(['v0.0.43', 'v0.0.44']), {
    code: 'unsupported-version',
    message: 'the server offers v0.0.43, v0.0.44; this client speaks v0.0.36 to v0.0.42',
  });
  assert.throws(() => chooseVersion([]), /the server offers no version/);
});

test('a job reads the same in the shapes of v0.0.38 and v0.0.40', () => {
  const common = { job_id: 7, name: 'r', partition: 'main', nodes: 'node[01-02]', restart_cnt: 2, user_name: 'ann' };
  const old = readJob({
    ...common,
    job_state: 'FAILED',
    state_reason: 'NonZeroExitCode',
    exit_code: 768,
    node_count: 2,
    tasks: 8,
    start_time: 1_700_000_000,
    end_time: 0,
    time_limit: 10,
    array_job_id: 0,
    array_task_id: null,
  });
  const set = (number: number) => ({ set: true, infinite: false, number });
  const unset = { set: false, infinite: false, number: 0 };
  const recent = readJob({
    ...common,
    job_state: ['FAILED'],
    state_reason: 'NonZeroExitCode',
    exit_code: { status: ['ERROR'], return_code: set(3), signal: { id: unset, name: '' } },
    node_count: set(2),
    tasks: set(8),
    start_time: set(1_700_000_000),
    end_time: unset,
    time_limit: set(10),
    array_job_id: set(0),
    array_task_id: unset,
  });
  const { raw: _old, ...fromOld } = old;
  const { raw: _recent, ...fromRecent } = recent;
  assert.deepEqual(fromOld, fromRecent);
  assert.equal(old.exitCode, 3);
  assert.equal(old.startTime?.toISOString(), '2023-11-14T22:13:20.000Z');
  assert.equal(old.endTime, undefined);
  assert.equal(old.arrayJobId, undefined);
});

test('limits without an end, signals, and states on top of states', () => {
  assert.equal(readJob({ time_limit: null }).timeLimitMinutes, Number.POSITIVE_INFINITY);
  assert.equal(
    readJob({ time_limit: { set: true, infinite: true, number: 0 } }).timeLimitMinutes,
    Number.POSITIVE_INFINITY,
  );
  assert.equal(readJob({ exit_code: 9 }).exitSignal, 9);
  assert.equal(readJob({ exit_code: { signal: { id: { set: true, infinite: false, number: 15 } } } }).exitSignal, 15);
  const job = readJob({ job_state: ['COMPLETING', 'RUNNING'] });
  assert.deepEqual([job.state, job.stateFlags], ['RUNNING', ['COMPLETING']]);
  assert.equal(readJob({ job_state: 'COMPLETING' }).state, 'UNKNOWN');
  assert.equal(readJob({}).id, 0);
});

test('nodes, partitions and controllers in both shapes', () => {
  const node = readNode({
    name: 'n',
    state: 'idle',
    state_flags: ['DRAIN'],
    gres: 'gpu:a100:4(S:0-1),gpu:2',
    features: 'a,b',
  });
  assert.deepEqual([node.state, node.stateFlags, node.gpus, node.features], ['IDLE', ['DRAIN'], 6, ['a', 'b']]);
  const later = readNode({ name: 'n', state: ['IDLE', 'DRAIN'], features: ['a', 'b'] });
  assert.deepEqual([later.state, later.stateFlags, later.features], ['IDLE', ['DRAIN'], ['a', 'b']]);
  assert.deepEqual(['', 'gpu', 'gpu:8', 'shard:8,gpu:h100:2'].map(countGpus), [0, 1, 8, 2]);

  const flat = {
    name: 'low',
    state: 'UP',
    nodes: 'n[1-2]',
    total_nodes: 2,
    total_cpus: 8,
    max_time_limit: -1,
    priority_tier: 1,
  };
  const nested = {
    name: 'low',
    partition: { state: ['UP'] },
    nodes: { configured: 'n[1-2]', total: 2 },
    cpus: { total: 8 },
    maximums: { time: { set: true, infinite: true, number: 0 } },
    priority: { tier: 1 },
  };
  const { raw: _flat, ...fromFlat } = readPartition(flat);
  const { raw: _nested, ...fromNested } = readPartition(nested);
  assert.deepEqual(fromFlat, fromNested);
  assert.equal(fromFlat.maxTimeMinutes, Number.POSITIVE_INFINITY);

  assert.deepEqual(readController({ hostname: 'c', ping: 'UP', mode: 'primary' }), {
    hostname: 'c',
    isUp: true,
    isPrimary: true,
  });
  assert.equal(readController({ hostname: 'c', pinged: 'DOWN', responding: false }).isUp, false);
});

const JOB: JobSubmission = {
  script: '#!/bin/bash\n',
  environment: { PATH: '/bin' },
  workingDirectory: '/w',
  nodes: 2,
  gpusPerNode: 4,
  requeue: false,
  exclusive: true,
  openMode: 'append',
  signal: { name: 'USR2', secondsBefore: 60 },
};

test('a submission in the words of each version', () => {
  assert.deepEqual(submissionBody(JOB, 'v0.0.38'), {
    script: '#!/bin/bash\n',
    job: {
      current_working_directory: '/w',
      nodes: 2,
      environment: { PATH: '/bin' },
      gres: 'gpu:4',
      signal: 'USR2@60',
      open_mode: 'append',
      no_requeue: true,
      exclusive: 'exclusive',
    },
  });
  assert.deepEqual(submissionBody({ ...JOB, extra: { nice: 5 } }, 'v0.0.41'), {
    job: {
      script: '#!/bin/bash\n',
      current_working_directory: '/w',
      nodes: '2',
      environment: ['PATH=/bin'],
      tres_per_node: 'gres/gpu:4',
      kill_warning_signal: 'USR2',
      kill_warning_delay: { set: true, infinite: false, number: 60 },
      open_mode: ['APPEND'],
      requeue: false,
      shared: ['none'],
      nice: 5,
    },
  });
  const limits = { ...JOB, timeLimitMinutes: 5, memoryPerNodeMb: 100, killOnInvalidDependency: true };
  const { time_limit, memory_per_node, kill_on_invalid_dependency, flags } = submissionBody(limits, 'v0.0.42')
    .job as Record<string, unknown>;
  assert.deepEqual(time_limit, { set: true, infinite: false, number: 5 });
  assert.deepEqual(memory_per_node, { set: true, infinite: false, number: 100 });
  assert.deepEqual([kill_on_invalid_dependency, flags], [undefined, ['KILL_INVALID_DEPENDENCY']]);
  const old = submissionBody(limits, 'v0.0.38').job as Record<string, unknown>;
  assert.deepEqual([old.time_limit, old.memory_per_node, old.kill_on_invalid_dependency], [5, 100, true]);
  assert.throws(() => submissionBody({ ...JOB, environment: {} }, 'v0.0.42'), {
    code: 'invalid-request',
    message: /environment: Slurm wants at least one variable/,
  });
  assert.equal((submissionBody(JOB, 'v0.0.39').job as Record<string, unknown>).tres_per_node, 'gres:gpu:4');
  const toBatch = { ...JOB, signal: { name: 'USR2', secondsBefore: 60, toBatchScript: true } };
  assert.throws(() => submissionBody(toBatch, 'v0.0.38'), { code: 'unsupported-version' });
  assert.deepEqual(changeBody({ priority: 5, hold: false }, 'v0.0.38'), { priority: '5', hold: false });
  assert.deepEqual(changeBody({ priority: 5, timeLimitMinutes: 7 }, 'v0.0.40'), {
    priority: { set: true, infinite: false, number: 5 },
    time_limit: { set: true, infinite: false, number: 7 },
  });
});

test("Slurm's errors keep their numbers and words, and get a code that programs can act on", () => {
  const unknownJob = [
    { description: 'Unable to find JobId=9', error_number: 2017, error: 'Invalid job id specified', source: 's' },
  ];
  const down = [{ description: 'Unable to find JobId=9', error_number: -1, error: 'Unspecified error', source: 's' }];
  const partition = [{ error_code: 2000, error: 'Invalid partition name specified' }];
  const key = [
    { description: 'Unknown key "x"', source: 'hsearch_r' },
    { error_code: 9001, error: 'Failure during parsing' },
  ];
  const code = (list: unknown, isQuery: boolean, status = 500) =>
    errorOf('x', status, readProblems(list), isQuery).code;
  assert.equal(code(unknownJob, true), 'not-found');
  assert.equal(code(down, true), 'controller-unavailable');
  assert.equal(code(partition, true), 'not-found');
  assert.equal(code(partition, false), 'rejected');
  assert.equal(code(key, false, 400), 'invalid-request');
  assert.equal(code([], false, 401), 'unauthorized');
  // As Slurm 24.11 answers.
  const none = [{ description: 'Failure to query node x', error_number: 0, error: 'No error', source: '_dump_nodes' }];
  assert.equal(code(none, true, 200), 'not-found');
  assert.equal(code([{ error_number: 9000, error: 'Query empty' }], true, 422), 'invalid-request');
  assert.equal(code([{ error_number: 1007, error: 'Protocol authentication error' }], true, 511), 'unauthorized');
  assert.equal(
    code([{ description: 'Unknown signal (null)', error_number: 0, source: '#/signal/' }], true, 200),
    'invalid-request',
  );
  const error = errorOf('submit', 500, readProblems(partition), false);
  assert.equal(error.message, 'submit: Invalid partition name specified (2000)');
  assert.deepEqual(error.problems, [{ number: 2000, message: 'Invalid partition name specified', source: '' }]);
  assert.deepEqual(readProblems([{ error_number: 0, error: '' }, null, 3]), []);
});

test('an address or half a login that cannot be right is refused at once', () => {
  for (const url of ['slurm', 'unix:relative', 'ftp://x'])
    assert.throws(() => connect({ url }), { code: 'unreachable', message: /expected unix:\/path/ });
  assert.throws(() => connect({ url: 'http://x', user: 'ann' }), { code: 'unauthorized' });
});
