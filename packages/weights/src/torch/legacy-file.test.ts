// The form of torch.save from before PyTorch 1.6, as PyTorch itself wrote it, and every way to damage it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { SlipError } from '@slip/core';
import { Namespace } from '@slip/pickle';
import { openContainer, openTorchFile, readWhole, type StoredTensor } from '../index.js';
import { TORCH_GOLDEN, temporaryFolder } from '../testing/temporary-folder.js';

const file = path.join(TORCH_GOLDEN, 'legacy.pt');
const expected = JSON.parse(readFileSync(path.join(TORCH_GOLDEN, 'expected.json'), 'utf8')).legacy;
const HALVES = new Map([
  [0x3800, 0.5],
  [0xc000, -2],
]);

async function values(tensor: StoredTensor): Promise<unknown[]> {
  const { buffer } = await readWhole(tensor);
  switch (tensor.dtype) {
    case 'F32':
      return [...new Float32Array(buffer as ArrayBuffer)];
    case 'F16':
      return [...new Uint16Array(buffer as ArrayBuffer)].map((bits) => HALVES.get(bits));
    case 'I64':
      return [...new BigInt64Array(buffer as ArrayBuffer)].map(Number);
    default:
      return [...new Uint8Array(buffer as ArrayBuffer)];
  }
}

async function contents(from: string): Promise<Record<string, unknown>> {
  const container = await openContainer(from);
  try {
    const found: Record<string, unknown> = {};
    for (const tensor of container.tensors) found[tensor.name] = [tensor.shape, await values(tensor)];
    return found;
  } finally {
    await container.close();
  }
}

test('tensors of several types, views and a shared storage', async () => {
  assert.deepEqual(await contents(file), expected);
  const torch = await openTorchFile(file);
  await torch.close();
  assert.ok(torch.root instanceof Map && torch.root.get('args') instanceof Namespace);
  assert.deepEqual(await torch.checkSums(), { wrong: [], entries: 0 });
});

test('cut off anywhere, or with any byte changed, it ends in data or in our error', async (t) => {
  const whole = readFileSync(file);
  const damaged = path.join(temporaryFolder(t), 'damaged.pt');
  for (let length = 0; length < whole.length; length += 3) {
    writeFileSync(damaged, whole.subarray(0, length));
    await assert.rejects(contents(damaged), SlipError, `${length} bytes`);
  }
  for (let at = 0; at < whole.length; at += 2) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 0x55;
    writeFileSync(damaged, bytes);
    await contents(damaged).catch((error) => assert.ok(error instanceof SlipError && error.code !== 'internal', error));
  }
});

test('what only this form can say is refused by name', async (t) => {
  const damaged = path.join(temporaryFolder(t), 'other.pt');
  const bytes = readFileSync(file);
  bytes.writeUInt16LE(1002, bytes.indexOf(Buffer.from('024de903', 'hex').subarray(1)) + 1);
  writeFileSync(damaged, bytes);
  await assert.rejects(openTorchFile(damaged), {
    code: 'unsupported',
    message: /version 1002 of PyTorch's old format/,
  });
});
