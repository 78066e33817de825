// `.pt` files that PyTorch wrote, files that are damaged, and files that are written here and read again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { SlipError } from '@slip/core';
import { Namespace, OpaqueObject, OrderedDict, type PickleValue, python, TorchTensor } from '@slip/pickle';
import fc from 'fast-check';
import {
  openTorchFile,
  readWhole,
  type StoredTensor,
  type TorchFile,
  tensorInMemory,
  writeTorchFile,
} from '../index.js';
import { TORCH_GOLDEN, temporaryFolder } from '../testing/temporary-folder.js';

const expected = JSON.parse(readFileSync(path.join(TORCH_GOLDEN, 'expected.json'), 'utf8'));

async function opened<T>(file: string, use: (torch: TorchFile) => Promise<T>): Promise<T> {
  const torch = await openTorchFile(file);
  try {
    return await use(torch);
  } finally {
    await torch.close();
  }
}

function dictOf(value: PickleValue | undefined): ReadonlyMap<PickleValue, PickleValue> {
  assert.ok(value instanceof Map);
  return value;
}

function tensorOf(torch: TorchFile, name: string, value: PickleValue | undefined): StoredTensor {
  assert.ok(value instanceof TorchTensor, name);
  return torch.tensor(name, value);
}

test('the structure of a training checkpoint, as PyTorch wrote it', async () => {
  await opened(path.join(TORCH_GOLDEN, 'slip-tiny.pt'), async (torch) => {
    const root = dictOf(torch.root);
    assert.deepEqual([...root.keys()], ['epoch', 'state_dict', 'optimizer', 'scaler', 'best_acc1', 'args']);
    assert.deepEqual([root.get('epoch'), root.get('best_acc1'), torch.script], [3, 12.5, false]);
    const args = root.get('args');
    assert.ok(args instanceof Namespace);
    assert.equal(args.attributes.get('model'), 'SLIP_VITS16');
    assert.equal(args.attributes.get('output_dir'), '/checkpoint/slip');
    const groups = dictOf(root.get('optimizer')).get('param_groups') as PickleValue[];
    assert.equal(dictOf(groups[0]).get('lr'), 0.0029, 'a numpy scalar');
    assert.deepEqual(torch.unknownNames, []);
    const state = root.get('state_dict');
    assert.ok(state instanceof OrderedDict && state.attributes?.has('_metadata'));
    const names = [...state.keys()].map((name) => String(name).replace(/^module\./, ''));
    assert.deepEqual(names, Object.keys(expected.slip.model));
    for (const [name, [shape, digest]] of Object.entries<[number[], string]>(expected.slip.model)) {
      const tensor = tensorOf(torch, name, state.get(`module.${name}`));
      assert.deepEqual(tensor.shape, shape);
      assert.equal(
        createHash('sha256')
          .update(await readWhole(tensor))
          .digest('hex'),
        digest,
        name,
      );
    }
    // One entry for the pickle, one for each tensor of the model, and two moments and a step count for each parameter.
    assert.deepEqual(await torch.checkSums(), {
      wrong: [],
      entries: 1 + names.length + 1.5 * Object.keys(expected.slip.moments).length,
    });
  });
});

test('every element type, views, empty and scalar tensors', async () => {
  await opened(path.join(TORCH_GOLDEN, 'odd.pt'), async (torch) => {
    for (const [name, [shape, dtype, values]] of Object.entries<[number[], string, number[]]>(expected.odd)) {
      const tensor = tensorOf(torch, name, dictOf(torch.root).get(name));
      assert.deepEqual(tensor.shape, shape, name);
      assert.deepEqual(numbers(dtype, await readWhole(tensor)), values, name);
    }
  });
});

function numbers(dtype: string, bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read: Record<string, [number, (at: number) => number]> = {
    float32: [4, (at) => view.getFloat32(at, true)],
    float64: [8, (at) => view.getFloat64(at, true)],
    bfloat16: [2, (at) => new Float32Array(Uint32Array.of(view.getUint16(at, true) << 16).buffer)[0]],
    float16: [2, (at) => smallHalf(view.getUint16(at, true))],
    int64: [8, (at) => Number(view.getBigInt64(at, true))],
    int32: [4, (at) => view.getInt32(at, true)],
    int16: [2, (at) => view.getInt16(at, true)],
    int8: [1, (at) => view.getInt8(at)],
    uint8: [1, (at) => view.getUint8(at)],
    bool: [1, (at) => view.getUint8(at)],
  };
  const [width, get] = read[dtype];
  return Array.from({ length: bytes.length / width }, (_, i) => get(i * width));
}

function smallHalf(bits: number): number {
  return bits === 0 ? 0 : (1 + (bits & 1023) / 1024) * 2 ** ((bits >> 10) - 15);
}

test('a TorchScript archive is a tree of modules that were never made', async () => {
  await opened(path.join(TORCH_GOLDEN, 'script.pt'), async (torch) => {
    assert.equal(torch.script, true);
    assert.ok(torch.root instanceof OpaqueObject);
    assert.ok(dictOf(torch.root.state).has('visual'));
    assert.ok(torch.unknownNames.every((name) => name.startsWith('__torch__.')));
  });
});

test('other formats and damaged files are refused with what to do', async (t) => {
  const folder = temporaryFolder(t);
  const whole = readFileSync(path.join(TORCH_GOLDEN, 'odd.pt'));
  const cases: [string, Buffer, RegExp][] = [
    ['empty', Buffer.alloc(0), /is empty/],
    ['page', Buffer.from('<!DOCTYPE html><html></html>'), /is not a PyTorch file.*web page/],
    ['cut', whole.subarray(0, whole.length - 30), /no zip directory at its end.*get it again/],
    [
      'other zip',
      Buffer.from(whole.toString('latin1').replaceAll('data.pkl', 'data.abc'), 'latin1'),
      /without data\.pkl/,
    ],
    ['hole', Buffer.concat([whole.subarray(0, 2000), whole.subarray(2100)]), /damaged/],
  ];
  for (const [name, bytes, message] of cases) {
    const file = path.join(folder, name);
    writeFileSync(file, bytes);
    await assert.rejects(openTorchFile(file), (error: unknown) => {
      assert.ok(error instanceof SlipError && error.code === 'checkpoint');
      assert.match(error.message, message);
      assert.ok(error.message.includes(file));
      return true;
    });
  }
  await assert.rejects(openTorchFile(path.join(folder, 'none')), /cannot open .*none/);
});

test('a changed byte of a tensor is found by its checksum', async (t) => {
  const bytes = readFileSync(path.join(TORCH_GOLDEN, 'odd.pt'));
  const file = path.join(temporaryFolder(t), 'changed.pt');
  bytes[bytes.indexOf(Buffer.from(Float32Array.of(20, 21, 22, 23).buffer))] ^= 1;
  writeFileSync(file, bytes);
  const { wrong } = await opened(file, (torch) => torch.checkSums());
  assert.deepEqual(wrong, ['odd/data/0']);
});

test('any change of any byte ends in data or in our error', async (t) => {
  const whole = readFileSync(path.join(TORCH_GOLDEN, 'odd.pt'));
  const file = path.join(temporaryFolder(t), 'fuzzed.pt');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      async (edits) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of edits) bytes[at] = value;
        writeFileSync(file, bytes);
        try {
          await opened(file, async (torch) => {
            await torch.checkSums();
            if (!(torch.root instanceof Map)) return;
            for (const [name, value] of torch.root) {
              if (value instanceof TorchTensor) await readWhole(torch.tensor(String(name), value));
            }
          });
        } catch (error) {
          assert.ok(error instanceof SlipError, String((error as Error).stack));
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('what is written is read again, aligned to 64 bytes, the same file for the same tensors', async (t) => {
  const folder = temporaryFolder(t);
  const files = ['a.pt', 'b.pt'].map((name) => path.join(folder, name));
  const tensors = [
    tensorInMemory(
      { name: 'one', dtype: 'F32', shape: [2, 3] },
      new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
    ),
    tensorInMemory({ name: 'count', dtype: 'I64', shape: [] }, new Uint8Array(BigInt64Array.of(7n).buffer)),
    tensorInMemory({ name: 'none', dtype: 'BF16', shape: [0] }, new Uint8Array(0)),
  ];
  for (const file of files) {
    const progress: number[] = [];
    const bytes = await writeTorchFile(
      file,
      (tensor) => new Map([['state', python.orderedDict(new Map(tensors.map((item) => [item.name, tensor(item)])))]]),
      (done, total) => progress.push(done / total),
    );
    assert.equal(bytes, readFileSync(file).length);
    assert.equal(progress.at(-1), 1);
  }
  assert.deepEqual(readFileSync(files[0]), readFileSync(files[1]));
  assert.deepEqual(readdirSync(folder).sort(), ['a.pt', 'b.pt']);
  const at = readFileSync(files[0]).indexOf(Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer));
  assert.equal(at % 64, 0);
  await opened(files[0], async (torch) => {
    const state = dictOf(dictOf(torch.root).get('state'));
    for (const item of tensors) {
      const read = tensorOf(torch, item.name, state.get(item.name));
      assert.deepEqual(
        [read.dtype, read.shape, await readWhole(read)],
        [item.dtype, item.shape, await readWhole(item)],
      );
    }
    assert.deepEqual((await torch.checkSums()).wrong, []);
  });
});

test('a failed write leaves the old file and nothing else', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'a.pt');
  writeFileSync(file, 'old');
  const broken: StoredTensor = {
    name: 'x',
    dtype: 'F32',
    shape: [2],
    byteLength: 8,
    // biome-ignore lint/correctness/useYield: it fails before its first piece
    async *chunks() {
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    },
  };
  await assert.rejects(
    writeTorchFile(file, (tensor) => tensor(broken)),
    /cannot write .*a\.pt: no space left; nothing/,
  );
  assert.deepEqual([readdirSync(folder), readFileSync(file, 'utf8')], [['a.pt'], 'old']);
  mkdirSync(path.join(folder, 'sub'));
  await assert.rejects(
    writeTorchFile(path.join(folder, 'no', 'a.pt'), (tensor) => tensor(broken)),
    /there is no folder .*; make it first/,
  );
  const huge = { ...broken, shape: [2 ** 50], byteLength: 2 ** 52 };
  await assert.rejects(
    writeTorchFile(file, (tensor) => tensor(huge)),
    /needs \d+ bytes, .* free some space/,
  );
  truncateSync(file);
});
