// PyTorch itself reads what is written here, and files above 4 GiB go both ways. Needs python3 with PyTorch (1.13 or
// later) and 10 GB in the folder for temporary files.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { openContainer, openTorchFile, readWhole, type StoredTensor, writeTorchFile } from '@slip/weights';

const golden = path.resolve(import.meta.dirname, '../../golden');
const tiny = path.join(golden, 'torch/slip-tiny.pt');
const command = path.resolve(import.meta.dirname, '../../../orchestrator/bin/slip-checkpoint.js');
const python = [process.env.SLIP_TEST_PYTHON ?? 'python3', '/usr/bin/python3'].find(
  (candidate) => spawnSync(candidate, ['-c', 'import torch']).status === 0,
);
const options = python === undefined ? { skip: 'no python3 with PyTorch; SLIP_TEST_PYTHON can name one' } : {};
const execute = promisify(execFile);

async function ask(...argv: string[]): Promise<Record<string, unknown>> {
  const script = path.join(golden, 'check-written.py');
  const { stdout } = await execute(python!, ['-B', script, ...argv], { cwd: golden });
  return JSON.parse(stdout);
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-torch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test(
  'PyTorch loads both forms and the tower bit for bit, continues from the optimizer, computes the same',
  options,
  async (t) => {
    const folder = temporaryFolder(t);
    const checkpoint = path.join(folder, 'checkpoints');
    const [safe, original, timm] = ['safe.pt', 'original.pt', 'timm.pt'].map((name) => path.join(folder, name));
    const convert = (from: string, to: string, form: string) =>
      execute(process.execPath, [command, 'convert', from, to, '--to', form]);
    await convert(tiny, checkpoint, 'checkpoint');
    const own = path.join(checkpoint, 'step-00000003');
    await convert(own, safe, 'torch');
    await convert(own, original, 'original');
    await convert(own, timm, 'timm');
    const { outputs, ...found } = await ask('same', tiny, safe, original, timm);
    assert.deepEqual(found, {
      safe: true,
      rewritten: true,
      timm: true,
      keys: true,
      args: ['SLIP_VITS16', 8, 0.003],
      epoch: [3, 12.5, 3],
      continued: true,
    });
    assert.ok((outputs as number) < 1e-5, `outputs differ by ${outputs}`);
  },
);

const BIG = 2 ** 30 + 2 ** 26;

test('a file above 4 GiB that is written here is read by PyTorch', options, async (t) => {
  const file = path.join(temporaryFolder(t), 'big.pt');
  const big: StoredTensor = {
    name: 'big',
    dtype: 'F32',
    shape: [BIG],
    byteLength: 4 * BIG,
    async *chunks() {
      const piece = new Uint8Array(16 << 20);
      for (let done = 0; done < 4 * BIG; done += piece.length) {
        const isLast = done + piece.length === 4 * BIG;
        if (isLast) new DataView(piece.buffer).setFloat32(piece.length - 4, 3.5, true);
        yield piece;
      }
    },
  };
  const after: StoredTensor = {
    name: 'after',
    dtype: 'F32',
    shape: [2],
    byteLength: 8,
    async *chunks() {
      yield new Uint8Array(Float32Array.of(7, 8).buffer);
    },
  };
  const memoryBefore = process.memoryUsage().rss;
  await writeTorchFile(
    file,
    (place) =>
      new Map([
        [
          'state_dict',
          new Map([
            ['big', place(big)],
            ['after', place(after)],
          ]),
        ],
      ]),
  );
  assert.ok(process.memoryUsage().rss - memoryBefore < 300e6, 'memory does not grow with the file');
  assert.ok(statSync(file).size > 2 ** 32);
  assert.deepEqual(await ask('big-read', file), {
    names: ['big', 'after'],
    elements: BIG,
    nonzero: 1,
    last: 3.5,
    after: [7, 8],
  });
});

test('a file above 4 GiB that PyTorch wrote is read here, in little memory', options, async (t) => {
  const file = path.join(temporaryFolder(t), 'big.pt');
  await ask('big-write', file);
  assert.ok(statSync(file).size > 2 ** 32);
  const memoryBefore = process.memoryUsage().rss;
  const container = await openContainer(file);
  const byName = new Map(container.tensors.map((tensor) => [tensor.name, tensor]));
  assert.deepEqual([...byName.keys()], ['before', 'big', 'after']);
  const after = new Float32Array((await readWhole(byName.get('after')!)).buffer as ArrayBuffer);
  assert.deepEqual([...after], [7, 8]);
  let last = new Uint8Array(4);
  const hash = createHash('sha256');
  for await (const piece of byName.get('big')!.chunks()) {
    hash.update(piece);
    last = piece.slice(-4);
  }
  assert.equal(new DataView(last.buffer).getFloat32(0, true), 3.5);
  await container.close();
  const torch = await openTorchFile(file);
  assert.deepEqual((await torch.checkSums()).wrong, []);
  await torch.close();
  assert.ok(process.memoryUsage().rss - memoryBefore < 300e6, 'memory does not grow with the file');
});
