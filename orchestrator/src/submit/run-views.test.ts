// What slip-submit shows of a run: merged logs and attempts. Both pure.
import assert from 'node:assert/strict';
import test from 'node:test';
import { attemptsOf, restartsLeft } from './attempts.js';
import { mergeLogs, nameRanks } from './merged-logs.js';

test('logs of all ranks are in the order of time, and what several say at once is one line', () => {
  const say = (rank: number, time: string, text: string) => ({ rank, line: `${time} info  [rank ${rank}] ${text}` });
  const merged = mergeLogs([
    say(0, '10:00:01.000', 'ready'),
    say(0, '10:00:03.000', 'loss 3'),
    { rank: 0, line: 'a line without a time' },
    say(1, '10:00:01.100', 'ready'),
    say(1, '10:00:09.000', 'ready'),
    say(3, '10:00:01.200', 'ready'),
    say(3, '10:00:02.000', 'alone'),
  ]);
  assert.deepEqual(merged, [
    '10:00:01.000 [ranks 0-1,3] info  ready',
    '10:00:02.000 [rank 3] info  alone',
    '10:00:03.000 [rank 0] info  loss 3',
    '[rank 0] a line without a time',
    '10:00:09.000 [rank 1] info  ready',
  ]);
});

test('midnight does not turn the order around, and one rank never folds its own lines', () => {
  const merged = mergeLogs([
    { rank: 0, line: '23:59:59.900 before' },
    { rank: 0, line: '00:00:00.100 after' },
    { rank: 0, line: '00:00:00.200 after' },
  ]);
  assert.deepEqual(merged, [
    '23:59:59.900 [rank 0] before',
    '00:00:00.100 [rank 0] after',
    '00:00:00.200 [rank 0] after',
  ]);
  assert.equal(nameRanks([0, 1, 2, 5, 7, 8]), 'ranks 0-2,5,7-8');
  assert.equal(nameRanks([...Array(64).keys()]), 'ranks 0-63');
});

test('attempts are told from the event log, also when nobody could write their end', () => {
  const at = (second: number) => `2026-01-01T10:00:${String(second).padStart(2, '0')}.000Z`;
  const started = { hosts: ['n1', 'n2'], worldSize: 4, launchId: 'x' };
  const events = [
    { time: at(0), event: 'submitted' as const, jobId: 7 },
    { time: at(1), event: 'started' as const, attempt: 0, ...started },
    { time: at(5), event: 'stopped' as const },
    { time: at(6), event: 'requeued' as const, cause: 'preempted', reason: 'preempted, 1 of 30', step: 9 },
    { time: at(9), event: 'started' as const, attempt: 1, ...started },
    { time: at(20), event: 'started' as const, attempt: 2, ...started },
    { time: at(25), event: 'restarted' as const, attempt: 3, ...started },
  ];
  const rows = attemptsOf(events).map(({ attempt, jobId, end, next, step }) => [attempt, jobId, end, next, step]);
  assert.deepEqual(rows, [
    [0, 7, 'stopped', 'requeued: preempted, 1 of 30', 9],
    [1, 7, 'lost', '', undefined],
    [2, 7, 'restarted', '', undefined],
    [3, 7, 'running', '', undefined],
  ]);
  const limits = { timeouts: 30, preemptions: 2, nodeFailures: 10, crashes: 3 };
  assert.deepEqual(restartsLeft(events, limits), { preempted: 1, 'timed-out': 30, 'node-failure': 10, crashed: 3 });
});
