// What is written for open_clip and timm, and read from Hugging Face, computes there what it computes here. Needs python3
// with PyTorch 1.13 or later, timm 0.9, open_clip_torch 2 and transformers 4; SLIP_TEST_PYTHON names it.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

const golden = path.resolve(import.meta.dirname, '../../golden');
const command = path.resolve(import.meta.dirname, '../../../orchestrator/bin/slip-checkpoint.js');
const python = process.env.SLIP_TEST_PYTHON ?? 'python3';
const ready = spawnSync(python, ['-c', 'import torch, timm, open_clip, transformers']).status === 0;
const execute = promisify(execFile);

test(
  'open_clip, timm and Hugging Face compute the same with random weights',
  ready ? {} : { skip: 'no python3 with torch, timm, open_clip and transformers; SLIP_TEST_PYTHON can name one' },
  async (t) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-parity-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const ask = async (what: string): Promise<string> =>
      (await execute(python, ['-B', path.join(golden, 'check-parity.py'), what, folder], { cwd: golden })).stdout;
    await ask('make');
    for (const [from, to, form] of [
      ['slip.pt', 'open_clip', 'open_clip'],
      ['slip.pt', 'tower.pt', 'timm'],
      ['hf', 'hf.pt', 'torch'],
      ['hf', 'hf-again', 'hugging-face'],
      ['hf', 'hf-tower.pt', 'timm'],
    ]) {
      const heads = from === 'slip.pt' ? ['--vision-heads', '3', '--text-heads', '1'] : [];
      const paths = [path.join(folder, from), path.join(folder, to)];
      await execute(process.execPath, [command, 'convert', ...paths, '--to', form, ...heads]);
    }
    const lines = (await ask('check')).trim().split('\n');
    for (const [what, difference] of Object.entries<number>(JSON.parse(lines.at(-1)!))) {
      t.diagnostic(`${what}: ${difference}`);
      assert.ok(difference < 1e-5, `${what} differs by ${difference} of the largest value`);
    }
  },
);
