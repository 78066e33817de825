// Running out of memory is told apart from other failures, and the advice is one that can be followed.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { TrainingConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import { explainOutOfMemory, memoryRefusal, memoryWarning } from './memory.js';

const config = { batchSize: 16, updateFreq: 2, gradCheckpointing: false } as TrainingConfig;

test('a real failure to allocate becomes advice with the batch size and the flags', () => {
  let thrown: unknown;
  try {
    new Float32Array(2 ** 40);
  } catch (error) {
    thrown = error;
  }
  const explained = explainOutOfMemory(thrown, config);
  assert.ok(explained instanceof SlipError);
  assert.equal(explained.code, 'memory');
  assert.match(explained.message, /--grad-checkpointing.*--batch-size 16 \(to 8 with --update-freq 4/);
});

test("the runtime's words are known, and checkpointing is not advised where it is on", () => {
  const words = 'Failed to allocate memory for requested buffer of size 9663676416';
  const explained = explainOutOfMemory(new Error(words), { ...config, gradCheckpointing: true, batchSize: 1 });
  assert.match(String(explained), /memory ran out \(Failed to allocate.*start more workers/);
  assert.doesNotMatch(String(explained), /--grad-checkpointing/);
});

test('other failures stay what they are', () => {
  const failure = new Error('the input is not square');
  assert.equal(explainOutOfMemory(failure, config), failure);
});

test('a run that will not fit is warned of before its first step', () => {
  assert.match(memoryWarning(1e15, 2, config) ?? '', /2 worker\(s\) need about 2000000.0 GB.*--batch-size 16/);
  assert.equal(memoryWarning(1, 2, config), undefined);
});

test('a run that cannot fit is refused; one that goes on is not told to change its rows', () => {
  const run = { ...config, nprocPerNode: 2, numNodes: 1, rowsPerMicroBatch: 32 } as TrainingConfig;
  const rooms = (...needed: number[]) => needed.map((neededBytes) => ({ neededBytes, freeBytes: 20e9 }));
  assert.equal(memoryRefusal(rooms(9e9, 9e9), run, true), undefined, 'fits');
  assert.equal(memoryRefusal(rooms(11e9, 11e9), run, true), undefined, 'the estimate may be too high');
  const refused = memoryRefusal(rooms(9e9, 16e9), run, true);
  assert.equal(refused?.code, 'memory');
  assert.match(
    refused.message,
    /machine of rank 1: 2 worker\(s\) with 16 rows each need about 32.0 GB for a step, and 20.0 GB are free/,
  );
  assert.match(refused.message, /goes on with 32 rows per micro-batch .*more machines, or add --grad-checkpointing/);
  assert.doesNotMatch(refused.message, /--batch-size/);
  assert.match(String(memoryRefusal(rooms(16e9), run, false)), /lower --batch-size 16/);
});
