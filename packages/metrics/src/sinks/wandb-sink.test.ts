// The stream to Weights & Biases: against a stand-in for its Python module, and against the real one in offline mode.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { createRunMetrics } from '../run-metrics.js';
import { recordingLog, sampleOptions, sampleStep, temporaryRun } from '../testing/sample-run.js';

const PYTHON = process.env.SLIP_WANDB_PYTHON ?? 'python3';
const hasPython = spawnSync('python3', ['-c', '']).status === 0;
const hasWandb = spawnSync(PYTHON, ['-c', 'import wandb']).status === 0;

/** For the children of this test only. */
function setEnvironment(t: TestContext, values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

async function runWith(runDir: string, python: string) {
  const log = recordingLog();
  const wandb = { project: 'slip', id: path.basename(runDir), python };
  const metrics = await createRunMetrics(sampleOptions(runDir, { family: 'CLIP', log, wandb }));
  for (let step = 1; step <= 4; step++) metrics.step(sampleStep(step, 'CLIP'), false);
  metrics.evaluation({ step: 4, acc1: 12.5 });
  await metrics.epoch({ epoch: 0, test_acc1: 12.5 });
  await metrics.close();
  return log;
}

const STAND_IN = `
import json, os
record = open(os.environ["WANDB_STAND_IN"], "w")
def init(**settings):
    print(json.dumps(settings), file=record)
    return Run()
class Run:
    def log(self, values, step):
        print(json.dumps([step, values]), file=record)
    def finish(self):
        print(json.dumps("finished"), file=record)
        record.close()
`;

test('each record is one call of wandb, with project, id, configuration and steps', async (t) => {
  if (!hasPython) return t.skip('there is no python3 on this machine');
  const folder = temporaryRun(t);
  const runDir = path.join(folder, 'my run:1');
  mkdirSync(runDir);
  writeFileSync(path.join(runDir, 'config.json'), '{"model":"CLIP_VITS16"}');
  writeFileSync(path.join(folder, 'wandb.py'), STAND_IN);
  const record = path.join(runDir, 'calls.jsonl');
  setEnvironment(t, { PYTHONPATH: folder, WANDB_STAND_IN: record });
  const log = await runWith(runDir, 'python3');
  assert.deepEqual(log.warnings, []);
  const calls = readFileSync(record, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(calls[0], {
    project: 'slip',
    id: 'my run-1',
    name: 'my run:1',
    dir: runDir,
    config: { model: 'CLIP_VITS16' },
    resume: 'allow',
  });
  assert.deepEqual(
    calls.slice(1, 7).map(([step]) => step),
    [1, 2, 3, 4, 4, 4],
  );
  assert.equal(calls[2][1].loss, 5);
  assert.equal(calls[2][1].logit, 14.5);
  assert.deepEqual(calls[5][1], { 'eval/acc1': 12.5 });
  assert.equal(calls[6][1].test_acc1, 12.5);
  assert.equal(calls[7], 'finished');
});

test('a Python that is missing is one warning', async (t) => {
  const log = await runWith(temporaryRun(t), '/nowhere/python3');
  assert.equal(log.warnings.length, 1);
  assert.match(log.warnings[0], /--wandb: cannot run \/nowhere\/python3 .*ENOENT.*training goes on without it/);
});

test('a Python without wandb is one warning that has the command', async (t) => {
  if (!hasPython) return t.skip('there is no python3 on this machine');
  const runDir = temporaryRun(t);
  writeFileSync(path.join(runDir, 'wandb.py'), 'raise ImportError("not here")');
  setEnvironment(t, { PYTHONPATH: runDir });
  const log = await runWith(runDir, 'python3');
  assert.deepEqual(log.warnings, [
    '--wandb: python3 has no wandb, install it with "python3 -m pip install wandb"; training goes on without it',
  ]);
});

test('a wandb that fails is one warning that names its log', async (t) => {
  if (!hasPython) return t.skip('there is no python3 on this machine');
  const runDir = temporaryRun(t);
  writeFileSync(path.join(runDir, 'wandb.py'), 'def init(**settings):\n    raise RuntimeError("no such project")\n');
  setEnvironment(t, { PYTHONPATH: runDir });
  const log = await runWith(runDir, 'python3');
  assert.equal(log.warnings.length, 1);
  assert.match(log.warnings[0], /its script ended with status 1, see .*wandb-stream\.log/);
  assert.match(readFileSync(path.join(runDir, 'wandb-stream.log'), 'utf8'), /no such project/);
});

test('the real wandb, offline, stores the run', async (t) => {
  if (!hasWandb) {
    assert.notEqual(process.env.CI_REQUIRE_WANDB, '1', `CI_REQUIRE_WANDB is set but ${PYTHON} cannot import wandb`);
    return t.skip(`${PYTHON} cannot import wandb (SLIP_WANDB_PYTHON can name another Python)`);
  }
  const runDir = temporaryRun(t);
  setEnvironment(t, { WANDB_MODE: 'offline' });
  const log = await runWith(runDir, PYTHON);
  assert.deepEqual(log.warnings, []);
  const id = path.basename(runDir);
  const folders = readdirSync(path.join(runDir, 'wandb')).filter((name) => /^offline-run-.*-/.test(name));
  assert.deepEqual(
    folders.map((name) => name.endsWith(id)),
    [true],
  );
  const stored = readFileSync(path.join(runDir, 'wandb', folders[0], `run-${id}.wandb`), 'latin1');
  for (const text of ['slip', 'clip_loss', 'train_clip_acc', 'eval/acc1'])
    assert.ok(stored.includes(text), `${text} is stored`);
});
