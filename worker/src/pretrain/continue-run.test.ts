// Ranks that share their arenas read a checkpoint together: each its share, and what one finds damaged none of them uses.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { type Checkpoint, saveCheckpoint } from '@slip/checkpoint';
import { createMemoryGroups, type ProcessGroup } from '@slip/comms';
import { type Logger, silentLogger } from '@slip/core';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import { continueRun } from './continue-run.js';
import { stateTensors } from './state-checkpoint.js';
import { createTrainState, type TrainState } from './train-state.js';

const layout = stateLayout(
  resolveModel('SLIP_VITS16', {
    ...{ imageSize: 16, patchSize: 8, visionWidth: 48, visionDepth: 1, visionHeads: 2, textWidth: 16, textDepth: 1 },
    ...{ textHeads: 2, contextLength: 6, vocabSize: 64, embedDim: 16, sslMlpDim: 16, sslEmbDim: 8 },
  }),
);
const [RANKS, ROWS] = [2, 8];
const FACTS = { batchesTracked: 7, bestAcc1: 12.5, globalBatch: ROWS };

/** A run with checkpoints of steps 1 and 2, whose elements are their step and their place. */
async function savedRun(t: TestContext): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [group] = createMemoryGroups(1);
  const state = await createTrainState(layout, 0, group);
  for (const step of [1, 2]) {
    for (const arena of arenasOf(state)) {
      for (const i of arena.keys()) arena[i] = step + i / 1e6;
    }
    await saveCheckpoint(folder, { step, files: stateTensors(state), state: { ...FACTS, step }, keepLast: 9 });
  }
  return folder;
}

/** What each of two ranks, whose arenas are the same memory, makes of it. */
async function continueTogether(
  folder: string,
  log: Logger = silentLogger,
): Promise<{ states: TrainState[]; found: (Checkpoint | undefined)[] }> {
  const groups: ProcessGroup[] = createMemoryGroups(RANKS);
  const alone = await Promise.all(groups.map((group) => createTrainState(layout, 0, group)));
  const { params, moments } = alone[0];
  const states = alone.map((state): TrainState => ({ ...state, params, moments, sharers: [0, 1] }));
  const options = { modelOnly: false, globalBatch: ROWS, log };
  const found = await Promise.all(groups.map((group, i) => continueRun(folder, states[i], { ...options, group })));
  return { states, found };
}

function arenasOf({ params, moments, buffers }: TrainState): Float32Array[] {
  return [params, ...Object.values(moments), buffers];
}

function assertHolds(states: readonly TrainState[], step: number): void {
  for (const state of states) {
    assert.deepEqual([state.step, state.batchesTracked, state.bestAcc1], [step, 7, 12.5]);
    for (const arena of arenasOf(state)) {
      assert.ok(arena.length > 0 && arena.every((value, i) => value === Math.fround(step + i / 1e6)));
    }
  }
}

test('two ranks fill what they share and what each has for itself', async (t) => {
  const folder = await savedRun(t);
  const { states, found } = await continueTogether(folder);
  assert.deepEqual(
    found.map((checkpoint) => checkpoint?.step),
    [2, 2],
  );
  assertHolds(states, 2);
});

for (const file of ['model', 'optimizer']) {
  test(`a flipped bit in ${file} is seen by one rank and skipped by both, named once`, async (t) => {
    const folder = await savedRun(t);
    const place = path.join(folder, 'step-00000002', `${file}.safetensors`);
    const bytes = readFileSync(place);
    bytes[bytes.length - 5] ^= 4;
    writeFileSync(place, bytes);
    const warnings: string[] = [];
    const { states } = await continueTogether(folder, { ...silentLogger, warn: (line) => warnings.push(line) });
    assertHolds(states, 1);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], new RegExp(`step-00000002 is damaged and was skipped: ${file}.safetensors has changed`));
  });
}

test('a flipped bit in the name of a tensor is damage, not another model', async (t) => {
  const folder = await savedRun(t);
  const place = path.join(folder, 'step-00000002', 'model.safetensors');
  const bytes = readFileSync(place);
  bytes[bytes.indexOf('logit_scale')] ^= 1;
  writeFileSync(place, bytes);
  assertHolds((await continueTogether(folder)).states, 1);
});

test('another model, a truncated file and no checkpoint at all are told apart', async (t) => {
  const folder = await savedRun(t);
  await saveCheckpoint(folder, {
    step: 3,
    files: { model: [], optimizer: [] },
    state: { ...FACTS, step: 3 },
    keepLast: 9,
  });
  await assert.rejects(continueTogether(folder), /step-00000003 lacks .*; check --model/);
  for (const step of [1, 2, 3]) writeFileSync(path.join(folder, `step-0000000${step}`, 'model.safetensors'), 'short');
  await assert.rejects(continueTogether(folder), /none of the 3 checkpoints .* has 5 bytes instead of/);
  assert.deepEqual((await continueTogether(path.join(folder, 'none'))).found, [undefined, undefined]);
});
